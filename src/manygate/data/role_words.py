"""Names of columns, and words in them, from which the role or the kind of a column is inferred."""

from __future__ import annotations

import re

USERS = ("user_id", "userid", "uid", "user", "customer_id", "customerid", "member_id", "visitor_id")
REQUESTS = ("query_id", "queryid", "qid", "search_id", "request_id", "requestid", "session_id", "sessionid", "impression_id")
POSITIONS = tuple(
    f"{prefix}{noun}" for prefix in ("", "display_", "ad_", "item_", "list_") for noun in ("position", "pos", "rank", "slot")
)
WEIGHTS = ("weight", "sample_weight", "instance_weight", "example_weight", "row_weight")


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


TIMES = words("time timestamp ts datetime date event_time event_timestamp")
IDS = words("id ids uid guid uuid code recode key sku hash asin zip zipcode postcode")
# A name such as userid, which has no underscore before the id.
GLUED_ID = re.compile(
    "(user|item|ad|video|movie|product|photo|author|page|doc|news|song|track|shop|store|seller|brand|cate|category|query|session"
    "|request|campaign|creative|device|site|app|publisher|advertiser|customer|member|visitor|merchant|order|goods)id"
)
CODES = words(
    "category cat type class brand city region country state gender sex language lang device os browser channel campaign hour "
    "weekday dow month"
)
AMOUNTS = words(
    "count counts cnt num number n age price amount cost value score rate ratio pct percent avg mean sum total length len size "
    "duration seconds secs minutes mins hours days weeks months years ms views clicks likes gains losses income wage bid qty "
    "quantity distance width height"
)
