"""Sections about campaigns, costs, sources, employees, tags, and the way from a visit to a deal."""

from . import options
from .options import PLAIN
from .section import Maker, Row, Section


class ListSections(Maker):
    """Makes the sections of lists, the largest on top."""

    def campaigns(self) -> Section:
        """Campaigns with the most calls."""
        found = self._figures.campaigns
        names = [self._campaign(row) for row in found]
        figures = ["calls", "first_calls", "missed", "target"]
        rows = [
            [name, *self._numbers(row, *figures), *self._costs_of(row)] for name, row in zip(names, found, strict=True)
        ]
        share = (found[0]["calls"] or 0) / (self._figures.totals["calls"] or 1)
        return self._section(
            "campaigns",
            options.rows(names, self._calls_and_missed(found)),
            "c_campaign c_calls c_first c_missed c_target c_cost c_cost_per_call c_cost_per_target",
            rows,
            lead=self._text("campaigns_lead", campaign=names[0], share=self._percent(share)),
            note=self._others(found),
            height=options.height_of_rows(len(found)),
        )

    def costs(self) -> Section:
        """Cost per call by campaign, the cheapest on top."""
        found = [row for row in self._figures.campaigns if row["cost"] and row["calls"]]
        found.sort(key=lambda row: row["cost"] / row["calls"])
        names = [self._campaign(row) for row in found]
        prices = [row["cost"] / row["calls"] for row in found]
        bars = options.labelled(
            options.series(self._text("c_cost_per_call"), [round(price, 2) for price in prices], "$cost", PLAIN),
            "money",
        )
        lead = ""
        if len(found) > 1:
            lead = self._text(
                "costs_lead",
                cheap=names[0],
                least=self._language.money(prices[0]),
                dear=names[-1],
                most=self._language.money(prices[-1]),
            )
        return self._section(
            "costs",
            options.rows(names, [bars], "money"),
            "c_campaign c_calls c_clicks c_target c_cost c_cost_per_call c_cost_per_target",
            [
                [name, *self._numbers(row, "calls", "clicks", "target"), *self._costs_of(row)]
                for name, row in zip(names, found, strict=True)
            ],
            lead=lead,
            height=options.height_of_rows(len(found)),
        )

    def sources(self) -> Section:
        """Sources with the most calls."""
        found = self._figures.sources
        pairs = [(self._names.shown(row["source"]), self._names.shown(row["medium"])) for row in found]
        names = [" / ".join(filter(None, pair)) or self._text("no_source") for pair in pairs]
        none = self._text("none")
        return self._section(
            "sources",
            options.rows(names, self._calls_and_missed(found)),
            "c_source c_medium c_calls c_missed c_target c_cost c_cost_per_call c_cost_per_target",
            [
                [source or none, medium or none, *self._numbers(row, "calls", "missed", "target"), *self._costs_of(row)]
                for (source, medium), row in zip(pairs, found, strict=True)
            ],
            texts=2,
            note=self._others(found),
            height=options.height_of_rows(len(found)),
        )

    def employees(self) -> Section:
        """Employees with the most calls."""
        found = self._figures.employees
        names = [self._names.person(row["employee"], row["employee_id"]) for row in found]
        rows = [
            [
                name,
                *self._numbers(row, "offered", "answered", "missed", "outgoing"),
                self._language.hours(row["talk_seconds"]),
                self._number(row["seconds_to_answer"], 1),
            ]
            for name, row in zip(names, found, strict=True)
        ]
        notes = [self._text("employees_note")] + ([] if self._names.are_shown else [self._text("employees_hidden")])
        return self._section(
            "employees",
            options.rows(names, self._calls_and_missed(found, "offered", "answered_in")),
            "c_employee c_offered c_answered c_missed c_outgoing c_talk c_seconds",
            rows,
            note=" ".join([*notes, self._others(found)]).strip(),
            height=options.height_of_rows(len(found)),
        )

    def tags(self) -> Section:
        """Tags with the most calls."""
        found, calls = self._figures.tags, self._figures.totals["calls"] or 1
        names = [self._names.shown(row["tag"]) or self._text("none") for row in found]
        bars = options.series(self._text("c_calls"), [row["calls"] for row in found], "$calls", PLAIN)
        return self._section(
            "tags",
            options.rows(names, [options.labelled(bars)]),
            "c_tag c_calls c_share",
            [
                [name, self._number(row["calls"]), self._percent(row["calls"] / calls)]
                for name, row in zip(names, found, strict=True)
            ],
            note=self._others(found),
            height=options.height_of_rows(len(found)),
        )

    def funnel(self) -> Section:
        """Visits, calls, deals."""
        found = self._figures.funnel
        steps = [step for step in ("sessions", "sessions_with_call", "deals", "won_deals") if found[step] is not None]
        names, values = [self._text(step) for step in steps], [found[step] for step in steps]
        rows = [
            [name, self._number(value), self._percent(value / found["sessions"], 2)]
            for name, value in zip(names, values, strict=True)
        ]
        if found["won_revenue"] is not None:
            rows.append([self._text("c_revenue"), self._language.money(found["won_revenue"]), ""])
        monday = self._figures.days.monday
        return self._section(
            "funnel",
            options.rows(names, [options.labelled(options.series(self._text("c_number"), values, "$calls", PLAIN))]),
            "c_step c_number c_share",
            rows,
            note=self._text("funnel_note", day=self._language.day(monday)),
            height=options.height_of_rows(len(steps)),
        )

    def _campaign(self, row: Row) -> str:
        return self._names.shown(row["campaign"]) or self._text("no_campaign")

    def _costs_of(self, row: Row) -> list[str]:
        cost, money = row["cost"], self._language.money
        if cost is None:
            return [money(None)] * 3
        per = [cost / row[name] if row[name] else None for name in ("calls", "target")]
        return [money(cost), *map(money, per)]
