"""Dictionaries of the synthetic account's call tracking: traffic sources, rules, phone numbers."""

from collections.abc import Callable, Mapping
from typing import Any

from .vocabulary import CAMPAIGNS, CREATED, SITES

Entry = dict[str, Any]

CHANNELS = ((-1, "Контекстная реклама", "context"), (-2, "Социальные сети", "social"), (2_101, "Доски", "boards"))
GROUPS = (
    # id, name, channel
    (-11, "Яндекс.Директ", CHANNELS[0]),
    (-12, "VK Реклама", CHANNELS[1]),
    (2_201, "Площадки недвижимости", CHANNELS[2]),
)
SOURCES = (
    # id, name, group, utm_source
    (-21, "Яндекс.Директ", GROUPS[0], "yandex"),
    (-22, "VK Реклама", GROUPS[1], "vk"),
    (2_301, "ЦИАН", GROUPS[2], "cian"),
    (2_302, "Авито", GROUPS[2], "avito"),
)
"""Those with a negative id are the vendor's."""
OFFLINE_SOURCE = SOURCES[2]
"""The source of calls to a number that is printed."""


def _condition(name: str, value: str) -> Entry:
    return {"filters": [{"field": name, "operator": "=", "value": value}], "condition": "and"}


GOAL_GROUPS = (("track_event", "Пользовательская"), ("time_on_page", "Время на странице"))


def _goal_names() -> list[Entry]:
    named = (("11710", "Три минуты", GOAL_GROUPS[1][0]), ("6104", "Заявка на показ", GOAL_GROUPS[0][0]))
    return [{"id": key, "name": name, "group_id": group, "sort": int(key)} for key, name, group in named]


def _source_channels() -> list[Entry]:
    first_sources = {source[2][2][0]: source[0] for source in reversed(SOURCES)}
    return [
        {
            "id": key,
            "name": name,
            "mnemonic": code,
            "is_custom": key > 0,
            "state": "active",
            "default_source_id": first_sources[key],
        }
        for key, name, code in CHANNELS
    ]


def _source_groups() -> list[Entry]:
    return [
        {
            "id": key,
            "name": name,
            "channel_id": channel[0],
            "channel_name": channel[1],
            "channel_mnemonic": channel[2],
            "is_custom": key > 0,
            "state": "active",
        }
        for key, name, channel in GROUPS
    ]


def _sources() -> list[Entry]:
    return [
        {
            "id": key,
            "name": name,
            "group_id": group[0],
            "group_name": group[1],
            "channel_id": group[2][0],
            "channel_name": group[2][1],
            "channel_mnemonic": group[2][2],
            "filter": _condition("utm_source", tag),
            "priority": priority,
            "is_custom": key > 0,
            "state": "active",
            "icon_mnemonic": tag,
            "static_parameters": [{"parameter": "utm_source", "value": tag}] if key > 0 else None,
        }
        for priority, (key, name, group, tag) in enumerate(SOURCES, start=1)
    ]


def _communication_sources() -> list[Entry]:
    return [
        {
            "id": 2_601,
            "name": "Номер в каталоге",
            "source_id": OFFLINE_SOURCE[0],
            "source_name": OFFLINE_SOURCE[1],
            "filter": _condition("virtual_phone_number", SITES[2][2]),
            "priority": 1,
            "state": "active",
            "entity": "call",
            "creation_date": CREATED,
        }
    ]


def _call_tracking_rules() -> list[Entry]:
    sources = [
        {"source_channel_id": group[2][0], "source_group_id": group[0], "source_id": key, "name": name}
        for key, name, group, _ in SOURCES[:2]
    ]
    return [
        {
            "id": 2_701 + index,
            "name": f"Реклама, {domain}",
            "is_named_by_user": True,
            "priority": str(index + 1),
            "rule_type": "site_calls",
            "reserve_phone_numbers_time": 30,
            "conditions": _condition("utm_medium", "cpc"),
            "call_tracking_type": "dynamic",
            "site_ids": [site_id],
            "child_customer_ids": [],
            "sites": [{"id": site_id, "name": domain.split(".")[0], "domain": domain}],
            "sources": sources,
            "state": "active",
            "is_all_traffic": False,
            "coverage": 87.5,
            "is_multi_redirections": 0,
            "redirection_numbers": number,
            "dynamic_replacement_phones_settings": [{"id": 1, "virtual_numbers_count": 4, "visitors_count": 100}],
            "static_replacement_phones_settings": [],
            "external_replacement_settings": [],
            "sources_bundle_settings": [],
        }
        for index, (site_id, domain, number) in enumerate(SITES[:2])
    ]


def _number_pool_numbers() -> list[Entry]:
    return [
        {
            "number_capacity_id": 2_800_000 + site_id,
            "phone_id": site_id * 100,
            "phone_number": number,
            "setup_date": CREATED,
            "tracking_type": "dynamic",
            "replacement_phones_group_name": "Шапка",
            "number_pool_name": domain,
            "domain_name": domain,
            "campaign_id": CAMPAIGNS[0][0],
            "campaign_name": CAMPAIGNS[0][1],
            "state": "active",
        }
        for site_id, domain, number in SITES
    ]


def _auto_call_campaigns() -> list[Entry]:
    return [
        {
            "id": 2_901,
            "name": "Обзвон: дни открытых дверей",
            "add_time": CREATED,
            "begin_date": CREATED,
            "status": "in_process",
            "phone_numbers": [
                {"phone_number": f"7916000000{index}", "status": status}
                for index, status in enumerate(("successfully_processed", "not_processed"))
            ],
        }
    ]


def _campaign_parameter_weights() -> list[Entry]:
    return [
        {
            "site_id": site_id,
            "site_domain_name": domain,
            "entrance_page": 10,
            "referrer_domain": 20,
            "search_engine": 20,
            "search_query": 40,
            "engine": 25,
            "referrer": 30,
            "channel": 15,
            "location": 5,
            "utm_tags": 60,
            "os_tags": 50,
            "other_tags": 60,
        }
        for site_id, domain, _ in SITES
    ]


def _campaign_available_phone_numbers() -> list[Entry]:
    return [
        {"id": site_id * 100, "prefix": number[:4], "phone_number": number, "type": "call_tracking"}
        for site_id, _, number in SITES
    ]


CALL_TRACKING_MAKERS: Mapping[str, Callable[[], list[Entry]]] = {
    "source_channels": _source_channels,
    "source_groups": _source_groups,
    "sources": _sources,
    "ad_engines": lambda: [{"id": "yandex.direct", "name": "Яндекс.Директ"}, {"id": "vk.ads", "name": "VK Реклама"}],
    "communication_sources": _communication_sources,
    "goal_names": _goal_names,
    "goal_groups": lambda: [{"id": key, "name": name, "sort": nth} for nth, (key, name) in enumerate(GOAL_GROUPS, 1)],
    "call_tracking_rules": _call_tracking_rules,
    "number_pool_numbers": _number_pool_numbers,
    "auto_call_campaigns": _auto_call_campaigns,
    "campaign_parameter_weights": _campaign_parameter_weights,
    "campaign_available_phone_numbers": _campaign_available_phone_numbers,
    "campaign_available_redirection_phone_numbers": lambda: [
        {"id": site_id * 100, "phone_number": number} for site_id, _, number in SITES
    ],
    "sip_line_virtual_numbers": lambda: [{"virtual_phone_number": number} for _, _, number in SITES],
    "available_virtual_numbers": lambda: [
        {
            "phone_number": f"7495123010{index}",
            "category": "usual",
            "location_mnemonic": "msk",
            "location_name": "Москва",
            "onetime_payment": 0,
            "monthly_charge": 450.5,
            "min_charge": 0,
        }
        for index in range(3)
    ],
}
"""Makers of the dictionaries."""
