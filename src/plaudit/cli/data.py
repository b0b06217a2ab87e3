"""``plaudit data``: look at preference data, mend it, make it, choose what to label next. One file a command."""

from __future__ import annotations

import typer

from plaudit.cli import (
    data_augment,
    data_balance,
    data_clean,
    data_convert,
    data_filter,
    data_inspect,
    data_label,
    data_sample,
    data_select,
    data_split,
)

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Look at data, mend it, make it, label it.")

# one line a command, as in: app.command("convert", epilog=data_convert.EPILOG)(data_convert.convert)
app.command("convert", epilog=data_convert.EPILOG)(data_convert.convert)
app.command("label", epilog=data_label.EPILOG)(data_label.label)
app.command("select", epilog=data_select.EPILOG)(data_select.select)
app.command("augment", epilog=data_augment.EPILOG)(data_augment.augment)
app.command("balance", epilog=data_balance.EPILOG)(data_balance.balance)
app.command("filter", epilog=data_filter.EPILOG)(data_filter.filter_rows)
app.command("sample", epilog=data_sample.EPILOG)(data_sample.sample)
app.command("split", epilog=data_split.EPILOG)(data_split.split)
app.command("inspect", epilog=data_inspect.EPILOG)(data_inspect.inspect)
app.command("clean", epilog=data_clean.EPILOG)(data_clean.clean)
