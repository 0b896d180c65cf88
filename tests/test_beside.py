"""Features of what is known beside a history say what they should."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
import torch

from dxai.data.cuts import Cut
from dxai.learn.transform import KnownColumns
from dxai.networks.beside import BesideFeatures, Clock, Covariate, day_of_month, days_left_of_month
from dxai.networks.ratios import bent, unbent

HORIZON, CONTEXT = 3, 12
STEPS = range(HORIZON)


def day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def test_clock_knows_weekday_hour_and_time_of_the_year() -> None:
    last = torch.tensor([day_number(date(2024, 6, 30)), day_number(date(2023, 12, 31))])  # both Sundays
    *waves, of_month, weekday = Clock(step=1, day=1)(last, STEPS)
    assert weekday.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert of_month.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert waves[1][1].tolist() == pytest.approx([1, 1, 1], abs=0.01)  # the cosine of the first days of January
    assert waves[1][0].tolist() == pytest.approx([-1, -1, -1], abs=0.01)
    hours = Clock(step=1, day=24)(24 * last + 22, STEPS)
    assert hours[-1].tolist() == [[23, 0, 1]] * 2
    assert hours[-2].tolist() == [[6, 0, 0]] * 2
    assert Clock(step=7, day=1)(last, STEPS)[-1].tolist() == [[7, 14, 21]] * 2
    assert len(Clock(step=365.2425 / 12, day=1)(last, STEPS)) == 4


def test_day_of_the_month_is_that_of_the_calendar() -> None:
    days = torch.arange(-20_000, 50_000, 7)
    first = date(1970, 1, 1)
    assert day_of_month(days).tolist() == [(first + timedelta(days=day)).day for day in days.tolist()]


def alike(price: list[float], seen: list[float]) -> torch.Tensor:
    """Mean of the earlier steps that were like each one ahead, for one series."""
    made = BesideFeatures([Covariate("known_future")], horizon=HORIZON, steps=4)
    column = torch.tensor([price])
    ratio = torch.tensor([seen]).double()
    made.fit([column], bent(torch.ones(1, HORIZON)))
    features = made(ratio, bent(ratio), [column], STEPS)
    return unbent(features[5])[0]


def test_steps_at_the_same_price_are_found_again() -> None:
    price = [3.0, 2.0] * (CONTEXT // 2) + [2.0, 3.0, 2.0]
    seen = [1.0, 4.0] * (CONTEXT // 2)
    assert alike(price, seen).tolist() == pytest.approx([4, 1, 4], rel=0.02)
    gaps = [float("nan"), 4.0] * (CONTEXT // 2)
    assert alike(price, gaps)[0].item() == pytest.approx(4, rel=0.02)


def test_what_recently_was_and_what_changes_stand_beside_the_value() -> None:
    made = BesideFeatures([Covariate("known_future")], horizon=HORIZON, steps=4)
    flags = torch.tensor([[0.0] * (CONTEXT - 1) + [1.0] + [0.0, 1.0, 0.0]])
    made.fit([flags], torch.ones(1, HORIZON))
    seen = torch.ones(1, CONTEXT).double()
    now, recent, apart, before, after = (f[0] for f in made(seen, seen, [flags], STEPS)[:5])
    assert not made.logged[0]
    assert now.tolist() == [0, 1, 0]
    assert recent.tolist() == [0.25] * 3
    assert apart.tolist() == [-0.25, 0.75, -0.25]
    assert before.tolist() == [-1, 1, -1]
    assert after[:2].tolist() == [1, -1] and after[2].isnan()


@pytest.mark.parametrize(
    ("values", "logged", "scaled"), [((0.0, 0.4, 1.0), False, False), ((2.0, 3.0, 9.0), True, False),
    ((0.2, 0.3, 0.9), True, False), ((-3.0, 0.0, 5.0), False, True), ((1.0, 0.0, 0.0), False, False)],
)  # fmt: skip
def test_a_share_stays_as_it_is_a_price_is_logged_and_another_number_scaled(
    values: tuple[float, ...], logged: bool, scaled: bool
) -> None:
    made = BesideFeatures([Covariate("known_future")], horizon=HORIZON, steps=4)
    column = torch.tensor([values * 5])
    made.fit([column], torch.ones(1, HORIZON))
    assert made.logged.tolist() == [logged]
    assert made.spread.tolist() == [pytest.approx(column.std().item()) if scaled else 1.0]


def test_usual_level_adds_what_each_category_brings() -> None:
    columns = [Covariate("series", 2), Covariate("static", 3)]
    made = BesideFeatures(columns, horizon=HORIZON, steps=4)
    store = torch.arange(600) % 2
    kind = torch.arange(600) // 2 % 3
    level = 10.0 * (1.0 + 2 * store) * (1.0 + kind)
    made.fit_level([store, kind], level.float())
    asked = [torch.tensor([0, 1, 1, 2]), torch.tensor([0, 2, 0, 3])]  # the last one was never seen
    usual = made.usual_level(asked, torch.ones(4, 1))[:, 0]
    assert usual[:3].tolist() == pytest.approx([10, 90, 30], rel=0.15)
    assert level.min() < usual[3] < level.max()


def test_masks_are_no_features() -> None:
    made = BesideFeatures([Covariate("open"), Covariate("available")], horizon=HORIZON, steps=4)
    seen, masks = torch.ones(1, CONTEXT).double(), [torch.ones(1, CONTEXT + HORIZON), torch.ones(1, CONTEXT)]
    assert made(seen, seen, masks, STEPS) == []
    assert KnownColumns([Covariate("open")], horizon=HORIZON).width == 0


def test_networks_see_scaled_numbers_and_a_one_per_category() -> None:
    columns = [
        Covariate("known_future"),
        Covariate("known_future", 2),
        Covariate("static"),
        Covariate("past"),
        Covariate("open"),
    ]
    made = KnownColumns(columns, horizon=HORIZON)
    steps = CONTEXT + HORIZON
    price, promo = torch.rand(50, steps) * 4 + 8, torch.randint(3, (50, steps))
    size, rain = torch.rand(50) * 2 + 5, torch.rand(50, CONTEXT)
    given = [price, promo, size, rain, torch.ones(50, steps)]
    seen = made.fit(given)(given)
    assert seen.shape == (50, HORIZON, made.width) == (50, HORIZON, 5)
    assert seen[..., 0].mean().abs() < 0.3 and 0.5 < seen[..., 0].std() < 1.5
    np.testing.assert_array_equal(
        seen[..., 1:3].sum(2), (promo[:, -HORIZON:] < 2).float()
    )  # an unseen one has no column
    assert (seen[:, :1, 3:] == seen[:, 1:2, 3:]).all()
    missing = [torch.full_like(price, torch.nan), torch.full_like(promo, 2), *given[2:]]
    assert (made(missing)[..., :3] == 0).all()


def test_cut_windows_are_those_of_the_panel() -> None:
    whole, series, first = torch.rand(4, 30), torch.tensor([0, 3, 3, 1]), torch.tensor([5, 0, 20, 7])
    cut = Cut(whole, series, first, 6)
    assert len(cut) == 4
    expected = torch.stack([whole[s, f : f + 6] for s, f in zip(series, first, strict=True)])
    assert torch.equal(cut[:], expected)
    assert torch.equal(cut[torch.tensor([2, 0])], expected[[2, 0]])
    assert torch.equal(cut[-1], expected[-1])
    assert torch.equal(Cut(whole[:, 0], series)[:], whole[series, 0])
    assert torch.equal(cut.to(torch.device("cpu"))[:], expected)
    np.testing.assert_array_equal(cut.numpy(), expected.numpy())


def test_the_same_day_of_earlier_months_is_told_by_its_number_and_from_the_end() -> None:
    last = torch.tensor([59])  # 1 March 1970: 28 days ago it was 1 February
    number, left = day_of_month(last - torch.arange(89, -1, -1)), days_left_of_month(last - torch.arange(89, -1, -1))
    clock, steps = Clock(step=1, day=1), range(31)
    for numbers, place, wanted in ((number, 0, 25), (left, 1, 0)):
        seen = (numbers == wanted).double()[None]
        found = clock.same_of_month(seen, last, steps)[place][0]
        ahead = (day_of_month, days_left_of_month)[place](last + torch.arange(1, 32))
        assert found[ahead == wanted].item() == pytest.approx(1 - seen.mean().item())
        assert (found[ahead != wanted] < 0).all()
    assert Clock(step=7, day=1).same_of_month(seen, last, steps) == []
