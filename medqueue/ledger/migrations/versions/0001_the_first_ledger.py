"""the first ledger

Revision ID: 0001
Revises: 
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from medqueue.ledger.tables import Timestamp

JSON_COLUMN = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None

FINDINGS_FLAT = {
    "postgresql": """
        CREATE VIEW findings_flat AS
        SELECT seq, position, id AS result_id, kind, status,
               study_instance_uid, series_instance_uid, accession_number, patient_id, report_id,
               model_name, model_version,
               finding->>'label' AS label,
               finding->'code'->>'system' AS code_system,
               finding->'code'->>'code' AS code,
               finding->'code'->>'display' AS code_display,
               finding->>'presence' AS presence,
               (finding->>'probability')::double precision AS probability,
               (finding->>'threshold')::double precision AS threshold,
               completed_at
        FROM results
        CROSS JOIN LATERAL jsonb_array_elements(findings) WITH ORDINALITY AS each(finding, position)
    """,
    "sqlite": """
        CREATE VIEW findings_flat AS
        SELECT seq, each.key + 1 AS position, results.id AS result_id, kind, status,
               study_instance_uid, series_instance_uid, accession_number, patient_id, report_id,
               model_name, model_version,
               json_extract(each.value, '$.label') AS label,
               json_extract(each.value, '$.code.system') AS code_system,
               json_extract(each.value, '$.code.code') AS code,
               json_extract(each.value, '$.code.display') AS code_display,
               json_extract(each.value, '$.presence') AS presence,
               json_extract(each.value, '$.probability') AS probability,
               json_extract(each.value, '$.threshold') AS threshold,
               completed_at
        FROM results, json_each(findings) AS each
    """,
}


def upgrade() -> None:
    op.create_table('audit_events',
    sa.Column('seq', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('at', Timestamp(), nullable=False),
    sa.Column('actor', sa.String(length=128), nullable=False),
    sa.Column('action', sa.String(length=64), nullable=False),
    sa.Column('subject_id', sa.String(length=32), nullable=True),
    sa.Column('code', sa.String(length=64), nullable=True),
    sa.Column('detail', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_audit_events')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('audit_events', schema=None) as batch_op:
        batch_op.create_index('ix_audit_events_action', ['action', 'at'], unique=False)

    op.create_table('commitment_reports',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('calling_ae', sa.String(length=64), nullable=False),
    sa.Column('content', JSON_COLUMN, nullable=False),
    sa.Column('attempts', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('next_try_at', Timestamp(), nullable=False),
    sa.Column('created_at', Timestamp(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_commitment_reports'))
    )
    op.create_table('models',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('version', sa.String(length=64), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('manifest', JSON_COLUMN, nullable=False),
    sa.Column('released', sa.Boolean(), nullable=False),
    sa.Column('shadow', sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column('registered_at', Timestamp(), nullable=False),
    sa.Column('released_at', Timestamp(), nullable=True),
    sa.PrimaryKeyConstraint('name', 'version', name=op.f('pk_models'))
    )
    with op.batch_alter_table('models', schema=None) as batch_op:
        batch_op.create_index('uq_models_released_name', ['name'], unique=True, sqlite_where=sa.text('released = 1'), postgresql_where=sa.text('released'))
        batch_op.create_index('uq_models_shadow_name', ['name'], unique=True, sqlite_where=sa.text('shadow = 1'), postgresql_where=sa.text('shadow'))

    op.create_table('reports',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('report_id', sa.String(length=128), nullable=True),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('accession_number', sa.String(length=128), nullable=True),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=True),
    sa.Column('patient_id', sa.String(length=128), nullable=True),
    sa.Column('patient_id_issuer', sa.String(length=128), nullable=True),
    sa.Column('status', sa.String(length=16), nullable=True),
    sa.Column('language', sa.String(length=8), nullable=True),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('source', sa.String(length=16), nullable=False),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('idempotency_key', sa.String(length=384), nullable=True),
    sa.Column('received_at', Timestamp(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reports')),
    sa.UniqueConstraint('idempotency_key', name=op.f('uq_reports_idempotency_key')),
    sa.UniqueConstraint('report_id', 'version', name=op.f('uq_reports_report_id_version'))
    )
    with op.batch_alter_table('reports', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_reports_accession_number'), ['accession_number'], unique=False)
        batch_op.create_index(batch_op.f('ix_reports_report_id'), ['report_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_reports_study_instance_uid'), ['study_instance_uid'], unique=False)

    op.create_table('orders',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('placer_number', sa.String(length=128), nullable=True),
    sa.Column('filler_number', sa.String(length=128), nullable=True),
    sa.Column('accession_number', sa.String(length=128), nullable=True),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=True),
    sa.Column('patient_id', sa.String(length=128), nullable=True),
    sa.Column('patient_id_issuer', sa.String(length=128), nullable=True),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('is_cancelled', sa.Boolean(), nullable=False),
    sa.Column('idempotency_key', sa.String(length=384), nullable=False),
    sa.Column('received_at', Timestamp(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_orders')),
    sa.UniqueConstraint('idempotency_key', name=op.f('uq_orders_idempotency_key'))
    )
    with op.batch_alter_table('orders', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_orders_accession_number'), ['accession_number'], unique=False)
        batch_op.create_index(batch_op.f('ix_orders_filler_number'), ['filler_number'], unique=False)
        batch_op.create_index(batch_op.f('ix_orders_placer_number'), ['placer_number'], unique=False)
        batch_op.create_index(batch_op.f('ix_orders_study_instance_uid'), ['study_instance_uid'], unique=False)

    op.create_table('documents',
    sa.Column('report_id', sa.String(length=32), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('media_type', sa.String(length=64), nullable=False),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['report_id'], ['reports.id'], name=op.f('fk_documents_report_id')),
    sa.PrimaryKeyConstraint('report_id', 'number', name=op.f('pk_documents'))
    )
    op.create_table('results',
    sa.Column('seq', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('subject_id', sa.String(length=32), nullable=False),
    sa.Column('input_digest', sa.String(length=64), nullable=False),
    sa.Column('round', sa.Integer(), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=True),
    sa.Column('series_instance_uid', sa.String(length=64), nullable=True),
    sa.Column('sop_instance_uids', JSON_COLUMN, nullable=False),
    sa.Column('accession_number', sa.String(length=128), nullable=True),
    sa.Column('patient_id', sa.String(length=128), nullable=True),
    sa.Column('report_id', sa.String(length=128), nullable=True),
    sa.Column('model_name', sa.String(length=64), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.Column('model', JSON_COLUMN, nullable=False),
    sa.Column('findings', JSON_COLUMN, nullable=False),
    sa.Column('cautions', JSON_COLUMN, server_default=sa.text("'[]'"), nullable=False),
    sa.Column('error', JSON_COLUMN, nullable=True),
    sa.Column('received_at', Timestamp(), nullable=False),
    sa.Column('completed_at', Timestamp(), nullable=False),
    sa.Column('receipt', JSON_COLUMN, nullable=True),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_results')),
    sa.UniqueConstraint('id', name=op.f('uq_results_id')),
    sa.UniqueConstraint('subject_id', 'input_digest', 'model_name', 'model_version', 'round', name=op.f('uq_results_subject_id_input_digest_model_name_model_version_round')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('results', schema=None) as batch_op:
        batch_op.create_index('ix_results_accession_number', ['accession_number', 'seq'], unique=False)
        batch_op.create_index('ix_results_completed_at', ['completed_at', 'seq'], unique=False)
        batch_op.create_index('ix_results_kind_status', ['kind', 'status'], unique=False)
        batch_op.create_index('ix_results_patient_id', ['patient_id', 'seq'], unique=False)
        batch_op.create_index('ix_results_report_id', ['report_id', 'seq'], unique=False)
        batch_op.create_index(batch_op.f('ix_results_study_instance_uid'), ['study_instance_uid'], unique=False)

    op.create_table('shadow_results',
    sa.Column('subject_id', sa.String(length=32), nullable=False),
    sa.Column('input_digest', sa.String(length=64), nullable=False),
    sa.Column('model_name', sa.String(length=64), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.Column('round', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('findings', JSON_COLUMN, nullable=False),
    sa.Column('error', JSON_COLUMN, nullable=True),
    sa.Column('completed_at', Timestamp(), nullable=False),
    sa.PrimaryKeyConstraint('subject_id', 'input_digest', 'model_name', 'model_version', 'round', name=op.f('pk_shadow_results'))
    )
    with op.batch_alter_table('shadow_results', schema=None) as batch_op:
        batch_op.create_index('ix_shadow_results_model', ['model_name', 'completed_at'], unique=False)

    op.create_table('explanations',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.Column('at', Timestamp(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_explanations'))
    )
    op.create_table('trainings',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('folder', sa.Text(), nullable=False),
    sa.Column('started_in', sa.Text(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('attempts', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('fence', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('lease_until', Timestamp(), nullable=True),
    sa.Column('published_at', Timestamp(), nullable=True),
    sa.Column('worker', sa.String(length=128), nullable=True),
    sa.Column('error_code', sa.String(length=64), nullable=True),
    sa.Column('error_detail', sa.Text(), nullable=True),
    sa.Column('created_at', Timestamp(), nullable=False),
    sa.Column('started_at', Timestamp(), nullable=True),
    sa.Column('finished_at', Timestamp(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_trainings'))
    )
    with op.batch_alter_table('trainings', schema=None) as batch_op:
        batch_op.create_index('ix_trainings_state', ['state'], unique=False)

    op.create_table('input_figures',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('model_name', sa.String(length=64), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.Column('at', Timestamp(), nullable=False),
    sa.Column('intensity', sa.Float(), nullable=False),
    sa.Column('contrast', sa.Float(), nullable=False),
    sa.Column('score', sa.Float(), nullable=False),
    sa.Column('distance', sa.Float(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_input_figures'))
    )
    with op.batch_alter_table('input_figures', schema=None) as batch_op:
        batch_op.create_index('ix_input_figures_model', ['model_name', 'model_version', 'at'], unique=False)

    op.create_table('studies',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('patient_id', sa.String(length=128), nullable=True),
    sa.Column('patient_id_issuer', sa.String(length=128), nullable=True),
    sa.Column('accession_number', sa.String(length=128), nullable=True),
    sa.Column('calling_ae', sa.String(length=64), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('duplicates', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('received_at', Timestamp(), nullable=False),
    sa.Column('last_instance_at', Timestamp(), nullable=False),
    sa.Column('completed_at', Timestamp(), nullable=True),
    sa.Column('closed_by', sa.String(length=32), nullable=True),
    sa.Column('due_at', Timestamp(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_studies')),
    sa.UniqueConstraint('study_instance_uid', name=op.f('uq_studies_study_instance_uid'))
    )
    with op.batch_alter_table('studies', schema=None) as batch_op:
        batch_op.create_index('ix_studies_accession_number', ['accession_number'], unique=False)
        batch_op.create_index('ix_studies_receiving', ['state', 'last_instance_at'], unique=False)

    op.create_table('study_evidence',
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('source', sa.String(length=128), nullable=False),
    sa.Column('series_instance_uid', sa.String(length=64), server_default=sa.text("''"), nullable=False),
    sa.Column('instances', sa.Integer(), nullable=True),
    sa.Column('series', sa.Integer(), nullable=True),
    sa.Column('is_steady', sa.Boolean(), nullable=False),
    sa.Column('times', sa.Integer(), nullable=False),
    sa.Column('at', Timestamp(), nullable=False),
    sa.PrimaryKeyConstraint('study_instance_uid', 'kind', 'source', 'series_instance_uid', name=op.f('pk_study_evidence'))
    )
    op.create_table('work',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('stage', sa.String(length=32), nullable=False),
    sa.Column('subject_id', sa.String(length=32), nullable=False),
    sa.Column('input_digest', sa.String(length=64), nullable=False),
    sa.Column('model_name', sa.String(length=64), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.Column('artifact', sa.String(length=255), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('round', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('attempts', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('max_attempts', sa.Integer(), nullable=False),
    sa.Column('fence', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('lease_until', Timestamp(), nullable=True),
    sa.Column('next_try_at', Timestamp(), nullable=False),
    sa.Column('publish_after', Timestamp(), nullable=True),
    sa.Column('publications', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('worker', sa.String(length=128), nullable=True),
    sa.Column('error_code', sa.String(length=64), nullable=True),
    sa.Column('error_detail', sa.Text(), nullable=True),
    sa.Column('created_at', Timestamp(), nullable=False),
    sa.Column('started_at', Timestamp(), nullable=True),
    sa.Column('finished_at', Timestamp(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_work')),
    sa.UniqueConstraint('subject_id', 'stage', 'input_digest', 'model_name', 'model_version', name=op.f('uq_work_subject_id_stage_input_digest_model_name_model_version'))
    )
    with op.batch_alter_table('work', schema=None) as batch_op:
        batch_op.create_index('ix_work_due', ['state', 'next_try_at'], unique=False)
        batch_op.create_index('ix_work_stage_state', ['stage', 'state'], unique=False)
        batch_op.create_index('ix_work_unpublished', ['state', 'publications', 'priority', 'created_at'], unique=False)

    op.create_table('deliveries',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('result_id', sa.String(length=32), nullable=False),
    sa.Column('destination', sa.String(length=64), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('attempts', sa.Integer(), server_default=sa.text('0'), nullable=False),
    sa.Column('next_try_at', Timestamp(), nullable=False),
    sa.Column('error_code', sa.String(length=64), nullable=True),
    sa.Column('error_detail', sa.Text(), nullable=True),
    sa.Column('created_at', Timestamp(), nullable=False),
    sa.Column('delivered_at', Timestamp(), nullable=True),
    sa.ForeignKeyConstraint(['result_id'], ['results.id'], name=op.f('fk_deliveries_result_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deliveries')),
    sa.UniqueConstraint('result_id', 'destination', name=op.f('uq_deliveries_result_id_destination'))
    )
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.create_index('ix_deliveries_due', ['destination', 'state', 'next_try_at'], unique=False)

    op.create_table('destinations',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_destinations'))
    )
    op.create_table('made_series',
    sa.Column('series_instance_uid', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('series_instance_uid', name=op.f('pk_made_series'))
    )
    op.create_table('series',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('study_id', sa.String(length=32), nullable=False),
    sa.Column('series_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('modality', sa.String(length=16), nullable=True),
    sa.Column('received_at', Timestamp(), nullable=False),
    sa.ForeignKeyConstraint(['study_id'], ['studies.id'], name=op.f('fk_series_study_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_series')),
    sa.UniqueConstraint('study_id', 'series_instance_uid', name=op.f('uq_series_study_id_series_instance_uid'))
    )
    op.create_table('instances',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('series_id', sa.String(length=32), nullable=False),
    sa.Column('sop_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('sop_class_uid', sa.String(length=64), nullable=False),
    sa.Column('transfer_syntax_uid', sa.String(length=64), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('path', sa.String(length=255), nullable=False),
    sa.Column('disposition', sa.String(length=16), nullable=False),
    sa.Column('body_part', sa.String(length=64), nullable=True),
    sa.Column('view_position', sa.String(length=16), nullable=True),
    sa.Column('instance_number', sa.Integer(), nullable=True),
    sa.Column('received_at', Timestamp(), nullable=False),
    sa.ForeignKeyConstraint(['series_id'], ['series.id'], name=op.f('fk_instances_series_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_instances')),
    sa.UniqueConstraint('sop_instance_uid', 'sha256', name=op.f('uq_instances_sop_instance_uid_sha256'))
    )
    with op.batch_alter_table('instances', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_instances_series_id'), ['series_id'], unique=False)
        batch_op.create_index('uq_instances_kept_sop_instance_uid', ['sop_instance_uid'], unique=True, sqlite_where=sa.text("disposition = 'kept'"), postgresql_where=sa.text("disposition = 'kept'"))
    op.execute(
        """
        CREATE VIEW results_feed AS
        SELECT seq, id, kind, status, study_instance_uid, series_instance_uid,
               sop_instance_uids, accession_number, patient_id, report_id,
               model, findings, error, received_at, completed_at,
               (SELECT status FROM reports WHERE reports.id = results.subject_id) AS report_status,
               receipt,
               cautions
        FROM results
        """
    )
    op.execute(FINDINGS_FLAT[op.get_bind().dialect.name])


def downgrade() -> None:
    op.execute('DROP VIEW findings_flat')
    op.execute('DROP VIEW results_feed')
    with op.batch_alter_table('instances', schema=None) as batch_op:
        batch_op.drop_index('uq_instances_kept_sop_instance_uid', sqlite_where=sa.text("disposition = 'kept'"), postgresql_where=sa.text("disposition = 'kept'"))
        batch_op.drop_index(batch_op.f('ix_instances_series_id'))

    op.drop_table('instances')
    op.drop_table('series')
    op.drop_table('made_series')
    op.drop_table('destinations')
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.drop_index('ix_deliveries_due')

    op.drop_table('deliveries')
    with op.batch_alter_table('work', schema=None) as batch_op:
        batch_op.drop_index('ix_work_unpublished')
        batch_op.drop_index('ix_work_stage_state')
        batch_op.drop_index('ix_work_due')

    op.drop_table('work')
    with op.batch_alter_table('studies', schema=None) as batch_op:
        batch_op.drop_index('ix_studies_receiving')
        batch_op.drop_index('ix_studies_accession_number')

    op.drop_table('study_evidence')
    op.drop_table('commitment_reports')
    op.drop_table('studies')
    with op.batch_alter_table('results', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_results_study_instance_uid'))
        batch_op.drop_index('ix_results_report_id')
        batch_op.drop_index('ix_results_patient_id')
        batch_op.drop_index('ix_results_kind_status')
        batch_op.drop_index('ix_results_completed_at')
        batch_op.drop_index('ix_results_accession_number')

    op.drop_table('results')
    with op.batch_alter_table('trainings', schema=None) as batch_op:
        batch_op.drop_index('ix_trainings_state')

    op.drop_table('trainings')
    with op.batch_alter_table('input_figures', schema=None) as batch_op:
        batch_op.drop_index('ix_input_figures_model')

    op.drop_table('input_figures')
    op.drop_table('explanations')
    with op.batch_alter_table('shadow_results', schema=None) as batch_op:
        batch_op.drop_index('ix_shadow_results_model')

    op.drop_table('shadow_results')
    op.drop_table('documents')
    with op.batch_alter_table('orders', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_orders_study_instance_uid'))
        batch_op.drop_index(batch_op.f('ix_orders_placer_number'))
        batch_op.drop_index(batch_op.f('ix_orders_filler_number'))
        batch_op.drop_index(batch_op.f('ix_orders_accession_number'))

    op.drop_table('orders')
    with op.batch_alter_table('reports', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_reports_study_instance_uid'))
        batch_op.drop_index(batch_op.f('ix_reports_report_id'))
        batch_op.drop_index(batch_op.f('ix_reports_accession_number'))

    op.drop_table('reports')
    with op.batch_alter_table('models', schema=None) as batch_op:
        batch_op.drop_index('uq_models_shadow_name', sqlite_where=sa.text('shadow = 1'), postgresql_where=sa.text('shadow'))
        batch_op.drop_index('uq_models_released_name', sqlite_where=sa.text('released = 1'), postgresql_where=sa.text('released'))

    op.drop_table('models')
    with op.batch_alter_table('audit_events', schema=None) as batch_op:
        batch_op.drop_index('ix_audit_events_action')

    op.drop_table('audit_events')
