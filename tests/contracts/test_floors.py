from __future__ import annotations

import sys
from pathlib import Path

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.cli import lint_imports

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
DOMAIN_MAY_IMPORT = sys.stdlib_module_names | {"stdnum"}


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PYPROJECT.parent)


class TestFloors:
    def test_imports_go_down_only(self, capfd: pytest.CaptureFixture[str]) -> None:
        status = lint_imports(config_filename=str(PYPROJECT), no_cache=True)
        assert status == 0, capfd.readouterr().out

    def test_no_contract_ignores_an_import(self) -> None:
        contracts = read_configuration(str(PYPROJECT))["contracts_options"]
        assert [contract["name"] for contract in contracts if "ignore_imports" in contract] == []


class TestDomain:
    def test_imports_itself_the_standard_library_and_stdnum_only(self) -> None:
        graph = grimp.build_graph("app", include_external_packages=True, cache_dir=None)
        domain = {"app.domain", *graph.find_descendants("app.domain")}
        foreign = {
            (module, imported)
            for module in domain
            for imported in graph.find_modules_directly_imported_by(module) - domain
            if imported.partition(".")[0] not in DOMAIN_MAY_IMPORT
        }
        assert foreign == set()
