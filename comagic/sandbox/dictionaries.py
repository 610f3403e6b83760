"""Dictionaries of the synthetic account.

Entries that calls, reports or other dictionaries refer to have a maker of their own, so that ids and names join. Every
other dictionary of the catalog has a few entries of default values.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..catalog import LIST, OBJECT, Dictionary, Field
from .call_tracking import CALL_TRACKING_MAKERS
from .crm import CRM_MAKERS
from .defaults import default_value, stable_number
from .vocabulary import (
    CAMPAIGNS,
    CHANNEL,
    CREATED,
    EMPLOYEES,
    REGIONS,
    SCENARIOS,
    SEGMENTS,
    SITES,
    TAGS,
    extension,
)

Entry = dict[str, Any]

DEFAULT_ENTRIES = 3
GROUP = (601, "Отдел продаж")
SCHEDULE = (701, "Ежедневно 9–21")
STATUSES = ((801, "Доступен", "available"), (802, "Перерыв", "break"), (803, "Нет на работе", "not_at_work"))
POSITION = (901, "Менеджер")
TARIFF_PLAN = (1, "Базовый")
CLIENTS = ((1001, "ООО «Новые кварталы»"), (1002, "ЖК Северный"))


def make_entries(dictionary: Dictionary) -> list[Entry]:
    """The entries of a dictionary, with all its fields; fields that a maker does not set are empty.

    Args:
        dictionary: a dictionary of the catalog, other than `account`.
    """
    if dictionary.name not in MAKERS:
        return [default_entry(dictionary, number) for number in range(1, DEFAULT_ENTRIES + 1)]
    fields = dictionary.fields
    return [{**{name: _empty(field) for name, field in fields.items()}, **entry} for entry in MAKERS[dictionary.name]()]


def default_entry(dictionary: Dictionary, number: int) -> Entry:
    """An entry of a dictionary without a maker; its key is unique and follows from its number."""
    seed = f"{dictionary.name} {number}"
    entry = {name: default_value(field, seed, CREATED) for name, field in dictionary.fields.items()}
    key = next(name for name in dictionary.needed if name in dictionary.fields)
    is_number = dictionary.fields[key].type == "bigint"
    first_id = (1 + stable_number(dictionary.name) % 900) * 10_000
    entry[key] = first_id + number if is_number else f"{dictionary.name}-{number}"
    return entry


def _empty(field: Field) -> Any:
    return [] if field.type == LIST else {} if field.type in (OBJECT, "json") else None


def _sites() -> list[Entry]:
    return [
        {
            "id": site_id,
            "name": domain.split(".")[0],
            "domain_name": domain,
            "default_phone_number": number,
            "default_scenario": {"scenario_id": SCENARIOS[0][0], "scenario_name": SCENARIOS[0][1]},
            "site_key": f"key-{site_id}",
            "is_editable": True,
            "creation_date": CREATED,
            "target_call_min_duration": 60,
            "cookie_lifetime": 90,
            "widget_link": {"enabled": False, "text": None, "url": None, "state": "disable"},
            "site_blocks": [{"site_block_name": "Шапка"}],
            "connected_integrations": ["yandex.metrika"],
        }
        for site_id, domain, number in SITES
    ]


def _site_blocks() -> list[Entry]:
    return [
        {
            "id": site_id * 10,
            "name": "Шапка",
            "site_id": site_id,
            "site_domain_name": domain,
            "templates": [{"template_id": 1, "template_type": "text", "element_attribute": "class"}],
            "phone_numbers": [
                {
                    "phone_number": number,
                    "phone_number_id": site_id * 100,
                    "campaign_id": campaign[0],
                    "campaign_name": campaign[1],
                }
                for campaign in CAMPAIGNS[:2]
            ],
        }
        for site_id, domain, number in SITES
    ]


def _campaigns() -> list[Entry]:
    site_id, domain, number = SITES[0]
    return [
        {
            "id": campaign_id,
            "name": name,
            "status": "active",
            "type": "basic" if campaign_id > 0 else "system",
            "creation_time": CREATED,
            "costs": 1_250.5 if medium == "cpc" else None,
            "campaign_conditions": {"group_conditions": [{"conditions": [{"value": utm, "operator": "="}]}]},
            "site_id": site_id,
            "site_domain_name": domain,
            "site_blocks": [{"site_block_id": site_id * 10, "site_block_name": "Шапка", "phone_number": number}],
            "static_utm_source": source,
            "static_utm_medium": medium,
            "static_utm_campaign": utm,
            "dynamic_call_tracking": {"reservation_time": "30m", "count_virtual_numbers": 4} if medium else {},
        }
        for campaign_id, name, source, medium, utm, _, _ in CAMPAIGNS
    ]


def _virtual_numbers() -> list[Entry]:
    return [
        {
            "id": site_id * 100,
            "virtual_phone_number": number,
            "activation_date": CREATED,
            "status": "active",
            "category": "usual",
            "type": "call_tracking",
            "campaigns": [
                {
                    "campaign_id": CAMPAIGNS[0][0],
                    "campaign_name": CAMPAIGNS[0][1],
                    "site_id": site_id,
                    "site_domain_name": domain,
                    "site_blocks": [{"site_block_id": site_id * 10, "site_block_name": "Шапка"}],
                }
            ],
            "scenarios": [{"scenario_id": key, "scenario_name": name, "is_active": True} for key, name in SCENARIOS],
        }
        for site_id, domain, number in SITES
    ]


def _employees() -> list[Entry]:
    return [
        {
            "id": employee_id,
            "login": f"employee-{employee_id}",
            "full_name": full_name,
            **dict(zip(("last_name", "first_name", "patronymic"), full_name.split(), strict=False)),
            "status": STATUSES[0][2],
            "status_id": STATUSES[0][0],
            "calls_available": True,
            "allowed_in_call_types": ["internal", "external"],
            "schedule_id": SCHEDULE[0],
            "schedule_name": SCHEDULE[1],
            "groups": [{"group_id": GROUP[0], "group_name": GROUP[1]}],
            "phone_numbers": [{"phone_id": employee_id, "phone_number": extension(employee_id), "status": "active"}],
            "extension": {"extension_phone_number": extension(employee_id), "extension_queue_enabled": False},
            "operator": {
                "operator_position_id": POSITION[0],
                "operator_position_name": POSITION[1],
                "operator_sites": [{"site_id": SITES[0][0], "site_domain_name": SITES[0][1]}],
            },
        }
        for employee_id, full_name in EMPLOYEES
    ]


def _group_employees() -> list[Entry]:
    members: list[Entry] = [{"employee_id": key, "employee_full_name": name} for key, name in EMPLOYEES]
    numbers = [
        {**member, "employee_phone_number": extension(member["employee_id"]), "available": True} for member in members
    ]
    return [{"id": GROUP[0], "name": GROUP[1], "members": members, "phone_numbers": numbers, "queue_enabled": True}]


def _named(*entries: Any) -> Callable[[], list[Entry]]:
    return lambda: [{"id": entry[0], "name": entry[1]} for entry in entries]


MAKERS: Mapping[str, Callable[[], list[Entry]]] = {
    "sites": _sites,
    "site_blocks": _site_blocks,
    "campaigns": _campaigns,
    "virtual_numbers": _virtual_numbers,
    "employees": _employees,
    "group_employees": _group_employees,
    "tags": lambda: [
        {"id": key, "name": name, "is_system": False, "is_auto": True, "state": "active", "creation_datetime": CREATED}
        for key, name in TAGS
    ],
    "employee_positions": _named(POSITION),
    "statuses": lambda: [
        {"id": key, "name": name, "mnemonic": code, "is_deleted": False, "is_worktime": code == "available"}
        for key, name, code in STATUSES
    ],
    "contacts": lambda: [
        {
            "id": 1_101 + index,
            "full_name": f"Покупатель {city}",
            "phone_numbers": [f"7916000000{index}"],
            "emails": [],
            "organization_id": 1_201,
            "organization_name": "ИП Ромашка",
            "groups": [{"group_id": 1_301, "group_name": "Постоянные"}],
        }
        for index, (_, _, city) in enumerate(REGIONS)
    ],
    "group_contacts": lambda: [
        {
            "id": 1_301,
            "name": "Постоянные",
            "is_system": False,
            "members": [
                {"contact_id": 1_101 + index, "contact_full_name": f"Покупатель {city}"}
                for index, (_, _, city) in enumerate(REGIONS)
            ],
        }
    ],
    "contact_organizations": _named((1_201, "ИП Ромашка")),
    "schedules": lambda: [
        {
            "id": SCHEDULE[0],
            "name": SCHEDULE[1],
            "schedules": [
                {
                    "activity_days": {"type": "days_of_week", "days": [1, 2, 3, 4, 5, 6, 7]},
                    "activity_time": [{"time_from": "09:00", "time_till": "21:00"}],
                }
            ],
        }
    ],
    "sip_lines": lambda: [
        {
            "id": 1_401,
            "phone_number": "0100001",
            "type": "in_out",
            "status": "active",
            "employee_id": EMPLOYEES[0][0],
            "employee_full_name": EMPLOYEES[0][1],
            "ip_addresses": [{"date_time": CREATED, "ip": "192.0.2.7"}],
        }
    ],
    "scenarios": lambda: [
        {"id": key, "name": name, "virtual_phone_numbers": [number for _, _, number in SITES]}
        for key, name in SCENARIOS
    ],
    "segments": lambda: [
        {"id": key, "name": name, "site_id": SITES[0][0], "site_domain_name": SITES[0][1]} for key, name in SEGMENTS
    ],
    "events": lambda: [
        {
            "id": 1_601,
            "name": "Заявка на показ",
            "site_id": SITES[0][0],
            "site_domain_name": SITES[0][1],
            "type": "track_event",
            "is_goal": True,
            "is_active": True,
        }
    ],
    "chat_channels": lambda: [
        {
            "id": CHANNEL[0],
            "name": CHANNEL[1],
            "type": "comagic",
            "status": "active",
            "group_id": GROUP[0],
            "group_name": GROUP[1],
        }
    ],
    "customers": lambda: [
        {
            "id": key,
            "name": name,
            "status": "active",
            "creation_date_time": CREATED,
            "monthly_base_limit": 30_000.5,
            "tariff_plan_id": TARIFF_PLAN[0],
            "tariff_plan_name": TARIFF_PLAN[1],
            "sites": [{"site_id": SITES[0][0], "site_domain_name": SITES[0][1]}],
        }
        for key, name in CLIENTS
    ],
    "customer_users": lambda: [
        {"id": key * 10, "login": f"client-{key}", "name": name, "customer_id": key} for key, name in CLIENTS
    ],
    "tariff_plans": _named(TARIFF_PLAN),
    **CRM_MAKERS,
    **CALL_TRACKING_MAKERS,
}
"""Dictionaries whose entries have to join; `account` is made of the account itself."""
