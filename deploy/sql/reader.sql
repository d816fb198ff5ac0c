-- A role for integrators that can read results and nothing else. For PostgreSQL; run it as the
-- owner of the ledger's tables, and again after each `medqueue db upgrade`:
--
--     psql "$LEDGER_URL" --single-transaction --set ON_ERROR_STOP=1 --file deploy/sql/reader.sql
--
-- Then give each consumer a login of its own, so that each can be locked out alone:
--
--     CREATE ROLE ris LOGIN PASSWORD '...' IN ROLE medqueue_reader;
--     ALTER ROLE ris SET default_transaction_read_only = on;
--     ALTER ROLE ris SET statement_timeout = '60s';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'medqueue_reader') THEN
        CREATE ROLE medqueue_reader NOLOGIN;
    END IF;
END
$$;

-- Before PostgreSQL 15 everybody may create tables in `public`.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO medqueue_reader;

-- The views read with the rights of their owner, so the tables behind them stay closed: report
-- texts, paths of files, work and audit events.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM medqueue_reader;
GRANT SELECT ON results_feed, findings_flat TO medqueue_reader;
