"""The assets of the analyses: one for each file, all of them in one step."""

from collections.abc import Collection, Iterator, Mapping

import dagster as dg
import duckdb

from pipelines import steps
from pipelines.defs.checks import SHOWN_ROWS, check_analysis, specify_checks
from pipelines.defs.metadata import OWNERS, describe_analysis
from pipelines.defs.resources import AnalysesParam, ConfigurationParam, TablesParam
from pipelines.warehouse.analysis import Analysis
from pipelines.warehouse.build import Outcome
from pipelines.warehouse.checks import read_warnings


def define_analyses(analyses: Mapping[str, Analysis]) -> dg.AssetsDefinition:
    """Return the assets of the analyses: one for each file, all in one step, so that it is quick.

    A check that fails keeps the previous table and stops nothing: the asset check says so.
    """
    step = dg.multi_asset(
        name="analyses",
        specs=[specify_analysis(analysis, analyses) for analysis in analyses.values()],
        check_specs=[spec for a in analyses.values() for spec in specify_checks(a)],
        can_subset=True,
        description="Builds every analysis, each after those it reads.",
    )
    return step(build_analyses)


def build_analyses(
    context: dg.AssetExecutionContext,
    configuration: ConfigurationParam,
    analyses: AnalysesParam,
    tables: TablesParam,
) -> Iterator[dg.MaterializeResult]:
    """Build the selected analyses, and yield what Dagster keeps of each."""
    selected = {key.to_user_string() for key in context.selected_asset_keys}
    chosen = {name: analyses[name] for name in analyses if name in selected}
    with tables.write() as connection:
        for outcome in steps.build(configuration.load_tolerant(), connection, chosen):
            for problem in outcome.failures.values():
                context.log.warning(problem)
            yield describe_outcome(connection, outcome)


def describe_outcome(
    connection: duckdb.DuckDBPyConnection, outcome: Outcome
) -> dg.MaterializeResult:
    """Return what Dagster keeps of an analysis, also if its previous table stays."""
    analysis, built = outcome.analysis, outcome.built
    warnings = read_warnings(connection, analysis, SHOWN_ROWS) if built else {}
    return dg.MaterializeResult(
        asset_key=analysis.name,
        metadata=describe_analysis(connection, analysis, built)
        | {"seconds": round(outcome.seconds, 3)},
        check_results=check_analysis(analysis, outcome.failures, warnings),
    )


def specify_analysis(analysis: Analysis, known: Collection[str]) -> dg.AssetSpec:
    """Return what Dagster shows of an analysis, which waits for those of `known` that it reads."""
    return dg.AssetSpec(
        analysis.name,
        deps=["threads", *sorted(analysis.after & set(known))],
        group_name="analyses",
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        description=analysis.description,
        code_version=analysis.version,
        metadata={
            "dagster/table_name": f"analytics.{analysis.name}",
            "query": dg.MetadataValue.md(f"```sql\n{analysis.query}\n```"),
        },
    )
