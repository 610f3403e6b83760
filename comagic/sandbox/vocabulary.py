"""Names of the synthetic account, and how its calls are spread over campaigns, hours and weekdays."""

CAMPAIGNS = (
    # id, name, utm_source, utm_medium, utm_campaign, channel, search engine
    (101, "Яндекс.Директ | Поиск | Квартиры Москва", "yandex", "cpc", "poisk_kvartiry_msk", "paid", "yandex"),
    (102, "Яндекс.Директ | РСЯ | Ремаркетинг", "yandex", "cpc", "rsya_remarketing", "display", None),
    (103, "Яндекс.Директ | Бренд", "yandex", "cpc", "brand", "paid", "yandex"),
    (104, "VK Реклама | Look-alike 25–45", "vk", "cpm", "lal_25_45", "social", None),
    (105, "ЦИАН | Размещение «Премиум»", "cian", "referral", "premium", "referral", None),
    (106, "Авито | Новостройки", "avito", "referral", "novostroyki", "referral", None),
    (107, "SEO: органический поиск", None, None, None, "organic", "yandex"),
    (108, "Email-рассылка «Акции недели»", "newsletter", "email", "akcii_nedeli", "email", None),
    (-1, "Посетители без рекламной кампании", None, None, None, "direct", None),
)
_WEIGHTS = (8, 2, 5, 3, 4, 3, 6, 1, 4)
WEIGHTED_CAMPAIGNS = tuple(index for index, weight in enumerate(_WEIGHTS) for _ in range(weight))
"""Indexes into `CAMPAIGNS`, each repeated by the campaign's share of the calls."""

SITES = (
    # id, domain, virtual number
    (11, "novye-kvartaly.example", "74951230011"),
    (12, "zhk-severny.example", "74951230012"),
    (13, "ипотека-легко.example", "78121230013"),
)
REGIONS = (
    # id, region, city
    (77, "Москва и Московская обл.", "Москва"),
    (77, "Москва и Московская обл.", "Химки"),
    (78, "Санкт-Петербург и Ленинградская обл.", "Санкт-Петербург"),
    (66, "Свердловская обл.", "Екатеринбург"),
    (16, "Республика Татарстан", "Казань"),
    (25, "Приморский край", "Владивосток"),
)
EMPLOYEES = (
    (3001, "Соколова Анна Викторовна"),
    (3002, "Ким Дмитрий Олегович"),
    (3003, "О'Нил Мария Сергеевна"),
    (3004, "Гаврилов Пётр Ильич"),
    (3005, "Аббасова Лейла Рашидовна"),
)
TAGS = (
    (41, "Целевой звонок"),
    (42, "Нецелевой"),
    (43, "Запись на показ"),
    (44, "Ипотека"),
    (45, "Повторное обращение"),
    (46, 'Жалоба: "не перезвонили"'),
    (47, "🔥 Горячий"),
)
SCENARIOS = ((501, "Рабочее время"), (502, "Ночной ответчик"))
SEGMENTS = ((31, "Ипотека"),)
FUNNEL = ("sales", "Продажа квартир")
STAGES = (
    # id, name, status, order
    ("new", "Новая заявка", "in_process", 1),
    ("visit", "Показ", "in_process", 2),
    ("sold", "Договор", "success", 10_010),
    ("lost", "Отказ", "failed", 10_020),
)
DEAL_EMPLOYEES = (("manager-1", "Соколова Анна"), ("manager-2", "Ким Дмитрий"))
CREATED = "2024-02-29 12:00:00"
TAGGER = (9_001, "olga@novye-kvartaly.example")
CHANNEL = (1_701, "Сайт")
PAGES = ("/", "/kvartiry/", "/ipoteka/", "/kontakty/", "/akcii/")
DEVICES = ("mobile", "mobile", "mobile", "desktop", "desktop", "tablet")

_SHAPE = (1, 1, 1, 1, 1, 2, 4, 8, 20, 45, 60, 65, 60, 55, 60, 62, 60, 55, 48, 40, 28, 16, 8, 3)
HOURS = tuple(share / sum(_SHAPE) for share in _SHAPE)
"""Share of a day's calls in each of its hours."""
WEEKDAYS = (1.1, 1.05, 1.0, 1.0, 0.95, 0.7, 0.55)
"""Calls of each weekday, Monday first, relative to an average working day."""


def extension(employee_id: int) -> str:
    """The extension number of an employee."""
    return str(100 + employee_id % 50)
