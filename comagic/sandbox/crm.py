"""Dictionaries of the synthetic account's CRM systems.

The same contact id comes from two of them, as it can from systems that number contacts by themselves.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .vocabulary import CREATED, DEAL_EMPLOYEES, FUNNEL, REGIONS, STAGES

Entry = dict[str, Any]

CRMS = (
    # id, type, name, URL
    (2_401, "amocrm", "amoCRM", "https://novye-kvartaly.amocrm.example"),
    (2_402, "custom", "Своя CRM", "https://crm.novye-kvartaly.example"),
)
CONTACTS = (
    # id, CRM, index of the region
    ("1", "amocrm", 0),
    ("2", "amocrm", 1),
    ("1", "dataapi", 2),
)


def _sales_funnels() -> list[Entry]:
    stages = [
        {"stage_ext_id": key, "stage_name": name, "stage_status": status, "stage_order": order}
        for key, name, status, order in STAGES
    ]
    return [{"ext_id": FUNNEL[0], "name": FUNNEL[1], "stages": stages}]


def _deal_contacts() -> list[Entry]:
    return [
        {
            "ext_id": key,
            "name": f"Покупатель {REGIONS[index][2]}",
            "created_date_time": CREATED,
            "phone_numbers": [f"7916000000{index}"],
            "emails": [f"buyer-{index}@example.com"],
            "component": component,
        }
        for key, component, index in CONTACTS
    ]


def _crm_accounts() -> list[Entry]:
    return [
        {
            "id": key,
            "name": name,
            "type": kind,
            "url": url,
            "deal_conversion_model": "last_before_deal",
            "is_ignore_outgoing_calls": False,
            "is_ignore_outgoing_chats": True,
            "last_deals_load_time": CREATED,
            "deals_load_state": "completed",
            "deals_load_error": {},
            "leads_load_state": "not_loaded",
        }
        for key, kind, name, url in CRMS
    ]


def _crm_companies() -> list[Entry]:
    return [
        {
            "ext_id": "1",
            "name": name,
            "component": component,
            "phones": ["74950000001"],
            "emails": [],
            "contact_ext_ids": [key for key, crm, _ in CONTACTS if crm == component],
            "contact_ids": [],
            "is_removed": False,
        }
        for name, component in (("ИП Ромашка", "amocrm"), ("ООО «Лютик»", "dataapi"))
    ]


CRM_MAKERS: Mapping[str, Callable[[], list[Entry]]] = {
    "sales_funnels": _sales_funnels,
    "deal_contacts": _deal_contacts,
    "deal_employees": lambda: [{"ext_id": key, "name": name} for key, name in DEAL_EMPLOYEES],
    "deal_user_fields": lambda: [{"ext_id": "field_rooms", "name": "Число комнат", "data_type": "numeric"}],
    "lead_funnel_stages": lambda: [
        {"id": 2_501, "component": "amocrm", "ext_id": "new", "name": "Новая заявка", "type": "in_process", "order": 1},
        {"id": 2_502, "component": "amocrm", "ext_id": "done", "name": "Сделка", "type": "success", "order": 2},
    ],
    "crm_accounts": _crm_accounts,
    "crm_companies": _crm_companies,
}
"""Makers of the dictionaries."""
