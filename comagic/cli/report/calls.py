"""Sections about calls: by day and by hour, what became of missed ones, how long people talk."""

from collections.abc import Mapping

from ...load.figures.queries import RECOVERED_WITHIN
from . import options
from .options import DOTS, PLAIN, STRIPES
from .section import Maker, Section
from .spans import spans

HOURS = 24


class CallSections(Maker):
    """Makes the sections about calls."""

    def days(self) -> Section:
        """Calls by day, week or month."""
        kind, found = spans(self._figures.by_day)
        show = {"days": self._language.short_day, "weeks": self._language.short_day, "months": self._language.month}
        name = {"days": "c_day", "weeks": "c_week", "months": "c_month"}[kind]
        short = self._language.month if kind == "months" else self._language.day_of_month
        rows = [
            [show[kind](row["partition_date"]), *self._numbers(row, "calls", "incoming", "missed"), self._missed(row)]
            for row in found
        ]
        worst = max(found, key=lambda row: row["missed"] or 0)
        lead = ""
        if kind == "days" and worst["missed"]:
            lead = self._text(
                "days_lead",
                day=self._language.day(worst["partition_date"]),
                missed=self._number(worst["missed"]),
                incoming=self._number(worst["incoming"]),
            )
        return self._section(
            "days",
            options.columns([short(row["partition_date"]) for row in found], self._calls_and_missed(found)),
            f"{name} c_calls c_incoming c_missed c_missed_share",
            rows,
            title=self._text(f"{kind}_title"),
            lead=lead,
            note="" if kind == "days" else self._text("edges"),
        )

    def hours(self) -> Section:
        """Missed calls by weekday and hour."""
        found = self._figures.hours
        most = max(row["missed"] for row in found)
        weekday, hour = self._language.weekday, self._language.hour
        cells = [
            {
                "value": [row["hour"], row["weekday"] - 1, row["missed"]],
                "name": f"{weekday(row['weekday'], True)}, {hour(row['hour'])}",
                "label": {"color": "$heat-text-high" if row["missed"] > most * 0.6 else "$heat-text-low"},
            }
            for row in found
        ]
        worst = max(found, key=lambda row: row["missed"])
        lead = self._text(
            "hours_lead",
            weekday=weekday(worst["weekday"]),
            hour=hour(worst["hour"]),
            missed=self._number(worst["missed"]),
            incoming=self._number(worst["incoming"]),
        )
        rows = [
            [weekday(row["weekday"]), hour(row["hour"]), *self._numbers(row, "incoming", "missed"), self._missed(row)]
            for row in found
        ]
        across = [f"{hour:02}" for hour in range(HOURS)]
        return self._section(
            "hours",
            options.heat_map(across, [weekday(day, True) for day in range(1, 8)], cells, most),
            "c_weekday c_hour c_incoming c_missed c_missed_share",
            rows,
            lead=lead,
            texts=2,
        )

    def recovery(self) -> Section:
        """Missed calls by how soon they were recovered."""
        totals, found = self._figures.totals, self._figures.recovery
        counted = {
            (within, by): sum(
                row["missed"] for row in found if row["recovered_within"] == within and row["recovered_by"] == by
            )
            for within in RECOVERED_WITHIN
            for by in ("callback", "caller", None)
        }
        series = [
            options.series(self._text("callback"), self._of(counted, "callback"), "$good", PLAIN),
            options.series(self._text("caller"), self._of(counted, "caller"), "$calls", DOTS),
            options.series(self._text("nobody"), self._of(counted, None), "$missed", STRIPES),
        ]
        rows = []
        for within in RECOVERED_WITHIN:
            own = [counted[within, by] for by in ("callback", "caller", None)]
            rows.append(
                [self._text(within), *map(self._number, own), self._percent(sum(own) / (totals["missed"] or 1))]
            )
        lead = self._text(
            "recovery_lead",
            soon=self._percent(totals["recovered_soon"] / (totals["missed"] or 1)),
            never=self._percent(totals["never_recovered"] / (totals["missed"] or 1)),
        )
        return self._section(
            "recovery",
            options.rows([self._text(within) for within in RECOVERED_WITHIN], series),
            "c_within callback caller nobody c_share",
            rows,
            lead=lead,
            note=self._text("recovery_note"),
        )

    @staticmethod
    def _of(counted: Mapping[tuple[str, str | None], int], by: str | None) -> list[int | None]:
        return [counted[within, by] or None for within in RECOVERED_WITHIN]

    def durations(self) -> Section:
        """Answered calls by their talk time."""
        found = self._figures.durations
        buckets = sorted({row["bucket"] for row in found} | {0, 10, 30, 60, 120, 300, 600})
        counted = {(row["bucket"], row["direction"]): row["calls"] for row in found}
        sums = {way: [counted.get((bucket, way), 0) for bucket in buckets] for way in ("in", "out")}
        every = sum(row["calls"] for row in found)
        short = sum(row["calls"] for row in found if row["bucket"] < 30)
        names = [self._text(f"talk_{bucket}") for bucket in buckets]
        bars = [
            options.series(self._text(way), sums[way], colour, decal)
            for way, colour, decal in (("in", "$calls", PLAIN), ("out", "$good", DOTS))
            if any(sums[way])
        ]
        return self._section(
            "durations",
            options.columns(names, bars),
            "c_talk_time in out",
            [[name, *map(self._number, own)] for name, *own in zip(names, sums["in"], sums["out"], strict=True)],
            lead=self._text("durations_lead", share=self._percent(short / every)),
        )
