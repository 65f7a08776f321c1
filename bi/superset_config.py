"""Superset's settings. Where it runs and with which keys comes from the environment (include/local/superset.py).

Rules: Dutch, one process (no Redis, no Celery), no database but its own metadata and what `bi/assets/databases` names,
and nothing that asks another host: the browser is told so by the content security policy below.
"""

from __future__ import annotations

import os

SECRET_KEY = os.environ["VS_SUPERSET_KEY"]
SQLALCHEMY_DATABASE_URI = os.environ["VS_SUPERSET_METADATA"]
# The features that use these are off; their published defaults must still not be a way in.
GUEST_TOKEN_JWT_SECRET = SECRET_KEY
GLOBAL_ASYNC_QUERIES_JWT_SECRET = SECRET_KEY

APP_NAME = "Vroegsignalering"
LANGUAGES = {"nl": {"flag": "nl", "name": "Nederlands"}}
BABEL_DEFAULT_LOCALE = "nl"
BABEL_DEFAULT_TIMEZONE = "Europe/Amsterdam"
D3_FORMAT = {"decimal": ",", "thousands": ".", "grouping": [3], "currency": ["€ ", ""]}
D3_TIME_FORMAT = {
    "dateTime": "%a %e %B %Y %X",
    "date": "%d-%m-%Y",
    "time": "%H:%M:%S",
    "periods": ["AM", "PM"],
    "days": ["zondag", "maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag"],
    "shortDays": ["zo", "ma", "di", "wo", "do", "vr", "za"],
    "months": [
        "januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november",
        "december",
    ],
    "shortMonths": ["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"],
}  # fmt: skip
CURRENCIES = ["EUR"]

# Numbers change when a month is built or closed, not by the minute; asking again costs little.
CACHE_CONFIG = {"CACHE_TYPE": "SimpleCache", "CACHE_DEFAULT_TIMEOUT": 300}
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}

# Nobody gets in without an account, and nobody makes one for himself.
AUTH_ROLE_PUBLIC = "Public"  # what somebody without an account may do: nothing (bi/roles.yaml)
AUTH_USER_REGISTRATION = False
WTF_CSRF_ENABLED = True
SESSION_COOKIE_SAMESITE = "Strict"
ENABLE_UI_THEME_ADMINISTRATION = False
THEME_DARK = None
THEME_FONT_URL_ALLOWED_DOMAINS: list[str] = []
FEATURE_FLAGS = {"ENABLE_TEMPLATE_PROCESSING": False, "ALERT_REPORTS": False, "EMBEDDED_SUPERSET": False}

# Superset's own policy lets the page ask telemetry, maps and fonts of other hosts; this one lets it ask nobody.
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "default-src": ["'self'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    # the address is this machine's own; before it is opened to a network it goes behind TLS (docs/how-to/dashboards.md)
    "force_https": False,
    "session_cookie_secure": False,
}
