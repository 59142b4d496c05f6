"""The assets of the analyses: one for each file, all of them in one step."""

import time
from collections.abc import Collection, Iterator, Mapping

import dagster as dg
import duckdb

from pipelines.config.settings import data_home
from pipelines.defs.checks import SHOWN_ROWS, check_analysis, specify_checks
from pipelines.defs.metadata import OWNERS, describe_analysis
from pipelines.errors import AnalysisError
from pipelines.warehouse.analyses import Analysis
from pipelines.warehouse.build import build_analysis, read_warnings
from pipelines.warehouse.duckdb_file import open_warehouse


def build_analyses_asset(analyses: Mapping[str, Analysis]) -> dg.AssetsDefinition:
    """Return the assets of the analyses: one for each file, all in one step, so that it is quick.

    A check that fails keeps the previous table and stops nothing: the asset check says so.
    """

    @dg.multi_asset(
        name="analyses",
        specs=[specify_analysis(analysis, analyses) for analysis in analyses.values()],
        check_specs=[spec for a in analyses.values() for spec in specify_checks(a)],
        can_subset=True,
        description="Builds every analysis, each after those it reads.",
    )
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        selected = {key.to_user_string() for key in context.selected_asset_keys}
        with open_warehouse(data_home()) as connection:
            for name in (name for name in analyses if name in selected):
                yield materialize_analysis(context, connection, analyses[name])

    return build


def materialize_analysis(
    context: dg.AssetExecutionContext, connection: duckdb.DuckDBPyConnection, analysis: Analysis
) -> dg.MaterializeResult:
    """Build an analysis; return what Dagster keeps of it, also where the previous table stays."""
    started = time.monotonic()
    built, failures, warnings = None, {}, {}
    try:
        built = build_analysis(connection, analysis)
        warnings = read_warnings(connection, analysis, SHOWN_ROWS)
    except AnalysisError as error:
        context.log.warning(str(error))
        failures = error.failures
    seconds = round(time.monotonic() - started, 3)
    return dg.MaterializeResult(
        asset_key=analysis.name,
        metadata=describe_analysis(connection, analysis, built) | {"seconds": seconds},
        check_results=check_analysis(analysis, failures, warnings),
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
