"""The chart of a return: what was observed ends with what is known."""

import pytest

from serving.views.return_chart import return_chart
from serving.views.words import words_in


@pytest.mark.parametrize(
    ("as_of", "last"),
    [("2025-08-04T00:00:00+00:00", 3), ("2025-08-04T00:00:01+00:00", 4), ("2025-09-30", 10)],
)
def test_what_was_observed_is_drawn_as_far_as_the_oldest_touch_reaches(as_of, last):
    found = {
        "begun": "2025-08-01T00:00:00+00:00" if "T" in as_of else "2025-08-01",
        "as_of": as_of,
        "sales_by_day_since_touch": [float(day) for day in range(11)],
        "expected_by_day_since_touch": [2.0 * day for day in range(11)],
        "all": {"cost": None},
    }
    expected, observed = return_chart(words_in("en"), found).data
    assert expected.x[-1] == 10
    assert observed.x[-1] == last
    assert observed.y[-1] == last
