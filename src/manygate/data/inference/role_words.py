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
CALENDAR = words("day minute second week quarter year")
IDS = words("id ids uid guid uuid code recode key sku hash asin zip zipcode postcode no nr")
# Whole numbers named so name things: nobody calls an amount "movie". Of two meanings (area, room) the amount goes before.
ENTITIES = words(
    "user member customer client visitor buyer subscriber viewer player patient account household owner author artist "
    "creator actor director movie film video clip photo image song track album book article post tweet news document doc "
    "page ad advert advertisement advertiser adgroup adset campaign creative keyword query merchant seller vendor store "
    "shop outlet restaurant hotel listing property venue poi location site website app publisher placement channel product "
    "item goods offer deal coupon sku brand manufacturer supplier segment cluster group topic genre tag subcategory "
    "category cate school hospital bank branch station airport airline carrier flight route driver vehicle device ip cookie "
    "cell industry occupation job profession employer company organization organisation team league session request"
)
# A name such as userid, which has no underscore before the id.
GLUED_ID = re.compile(
    "(user|item|ad|video|movie|product|photo|author|page|doc|news|song|track|shop|store|seller|brand|cate|category|query|session"
    "|request|campaign|creative|device|site|app|publisher|advertiser|customer|member|visitor|merchant|order|goods)id"
)
# A name that ends so, cowcode or barcode, is that of a code.
CODE_ENDING = re.compile("[a-z]+code")
# RecBole writes the kind of a column behind its name: user_id:token, rating:float.
SAID_KIND = re.compile(":(token|token_seq|float|float_seq)$")
INDEXES = re.compile(r"__index_level_\d+__|Unnamed: \d+(_level_\d+)?|\s*|level_\d+")
"""Names of an index that pandas wrote beside the columns, and of a column without a name."""
# Yes-or-no columns named so are what a person did after seeing the impression, ...
OUTCOMES = words(
    "click clicked like liked dislike disliked love loved hate hated follow followed unfollow comment commented forward "
    "forwarded share shared buy bought purchase purchased convert converted conversion order ordered pay checkout cart "
    "addtocart wishlist favorite favourite favorited collect collected save saved bookmark install installed download "
    "downloaded subscribe subscribed signup register registered view viewed watch watched play played finish finished "
    "complete completed skip skipped report reported enter entered open opened reply replied vote voted upvote downvote "
    "repost retweet churn churned label target outcome response responded y"
)
# ... unless a word says that it was before.
BEFORE = words("prev previous previously past last hist history historical before ever already earlier prior first lag avg mean")
# play_time, watch_seconds, dwell_ms: a word of the first kind with one of the second.
MEASURED_AFTER = words("play played watch watched view viewed viewing stay stayed dwell listen listened read reading played")
MEASURES = words("time ms sec secs seconds duration minutes mins length ratio percent pct")
CODES = words(
    "category cat type class brand city region country state gender sex language lang device os browser channel campaign hour "
    "weekday dow month"
)
AMOUNTS = words(
    "count counts cnt num number n age price amount cost value score rate ratio pct percent avg mean sum total length len size "
    "duration seconds secs minutes mins hours days weeks months years ms views clicks likes gains losses income wage bid qty "
    "quantity distance width height"
)
