"""--data and placeholders on the command line of `loadgen http`: the plan that they make, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import tomli_w

from tests.support.printed_plans import plan_data, refusal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "users.csv"
    file.write_text("name,pw\nann,s3cret\nbob,other\n")
    return file


def test_a_plan_names_its_file_and_holds_no_row(file: Path) -> None:
    plan = plan_data("http", "http://h/{{name}}", "--data", file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert plan["data"] == {"file": str(file), "sha256": digest, "columns": ["name", "pw"], "rows": 2}
    assert "s3cret" not in str(plan)
    assert "data" not in plan_data("http", "http://h/")


def test_a_printed_plan_reads_back_until_the_file_changes(file: Path, tmp_path: Path) -> None:
    plan = plan_data("http", "http://h/{{name}}", "--data", file)
    (printed := tmp_path / "plan.toml").write_text(tomli_w.dumps(plan))
    assert plan_data("http", "--plan", printed) == plan
    file.write_text("name,pw\ncid,x\n")
    assert "has changed since the plan was made" in refusal("http", "--plan", printed)
    again = plan_data("http", "--plan", printed, "--data", file)
    assert (again["data"]["rows"], again["requests"]) == (1, plan["requests"])


def test_a_plan_may_name_a_file_alone(file: Path, tmp_path: Path) -> None:
    (written := tmp_path / "plan.toml").write_text(
        tomli_w.dumps({"requests": [{"url": "http://h/{{name}}"}], "data": {"file": str(file)}})
    )
    assert plan_data("http", "--plan", written)["data"]["rows"] == 2


def test_values_may_stand_in_options_and_in_a_file_of_requests(file: Path, tmp_path: Path) -> None:
    plan_data("http", "http://h/", "-H", "X: {{name}}", "--data", file)
    plan_data("http", "http://h/", "--method", "POST", "--body", "{{pw|json}}", "--data", file)
    (asked := tmp_path / "shop.toml").write_text(
        '[[request]]\nurl = "http://h/{{n}}"\n\n[[request]]\nurl = "http://h/{{pw}}"\n'
    )
    assert plan_data("http", "--requests", asked, "--data", file)["data"]["rows"] == 2
    assert "request 2: {{pw}} is not known" in refusal("http", "--requests", asked)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://h/{{nam}}"], "{{nam}} is not known: the names are n, uuid, random:LOW..HIGH, timestamp"),
        (["http://h/{{nam}}", "--data", "FILE"], "the columns of FILE are name, pw"),
        (["http://h/", "--data", "FILE"], "no request uses a column of FILE"),
        (["http://h/", "--data", "FILE.not"], "cannot be read"),
        (["http://{{name}}/", "--data", "FILE"], "placeholder in the name of its server"),
        (["http://h/", "-H", "{{name}}: 1", "--data", "FILE"], "header"),
        (["http://h/", "--body", "{{"], "'{{' is not a placeholder like {{n}}"),
        (["http://h/{{random:9..1}}"], "is not a range"),
    ],
)
def test_a_mistake_is_refused_in_one_line(file: Path, arguments: list[str], words: str) -> None:
    said = refusal("http", *(one.replace("FILE", str(file)) for one in arguments))
    assert words.replace("FILE", str(file)) in said
    assert "Traceback" not in said
