"""Problems: every error in one form, and the document that says so."""

import pytest
from fastapi import APIRouter

from http_client import Client
from medqueue.errors import ConfigurationError, TransitionError, UndecodableError
from medqueue.web.problems import Problem


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("DELETE", "/results", 405, "method-not-allowed"),
        ("GET", "/static/nothing.css", 404, "not-found"),
    ],
)
def test_errors_of_the_framework_are_problems_too(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path)
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = Problem.model_validate(answer.json())
    assert (answer.status_code, problem.status, problem.code) == (status, status, code)
    assert problem.type == f"urn:medqueue:error:{code}"


@pytest.mark.parametrize(
    ("error", "status", "code", "detail"),
    [
        (TransitionError("not now"), 409, "transition", "not now"),
        (ConfigurationError("set X"), 500, "configuration", "set X"),
        (UndecodableError("broken"), 500, "undecodable", "broken"),
    ],
)
def test_an_error_of_ours_keeps_its_code_and_detail(
    client: Client, error: Exception, status: int, code: str, detail: str
) -> None:
    problem = ask_a_route_that_raises(client, error)
    assert (problem.status, problem.code, problem.detail) == (status, code, detail)


def test_an_unforeseen_error_does_not_tell_its_text(client: Client) -> None:
    problem = ask_a_route_that_raises(client, ValueError("Zacharias"))
    assert (problem.status, problem.code) == (500, "internal")
    assert "ValueError" in problem.detail
    assert "Zacharias" not in problem.detail


def ask_a_route_that_raises(client: Client, error: Exception) -> Problem:
    router = APIRouter()

    @router.get("/planted")
    def planted() -> None:
        raise error

    client.app.include_router(router)
    answer = client.get("/planted")
    assert answer.headers["Content-Type"] == "application/problem+json"
    return Problem.model_validate(answer.json())


def test_the_document_describes_every_route_and_its_problems(client: Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) >= {
        *("/results", "/studies", "/studies/{study_instance_uid}"),
        *("/reports", "/reports/{report_id}", "/healthz", "/readyz", "/metrics"),
    }
    submit = document["paths"]["/reports"]["post"]
    assert {"202", "401", "403", "409", "413", "422", "503"} == set(submit["responses"])
    assert set(submit["responses"]["422"]["content"]) == {"application/problem+json"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["description"]
            assert all(answer["description"] for answer in operation["responses"].values())


def test_every_reference_in_the_document_leads_somewhere(client: Client) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    found = list(references(document))
    assert {"Problem", "FieldProblem", "Result"} <= {name.rpartition("/")[2] for name in found}
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in schemas


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [value for key, value in node.items() if key == "$ref"]
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []
