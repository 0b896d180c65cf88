"""What a check says, in English and Korean."""

from __future__ import annotations

import re

from dxai.contract import Column, Contract
from dxai.contract.signature import signature_of
from dxai.contract.terms import Text
from dxai.data.checks import Problem
from dxai.inference.fit.statistics import Bounds
from dxai.metrics import figure

SENTENCES = {
    "untested": Text(
        en="No history is long enough to hold its last steps back: the error here is not known.",
        ko="최근 구간을 떼어 놓고 시험할 만큼 긴 이력이 없어 이 파일에서의 오차를 알 수 없습니다.",
    ),
    "no truth": Text(
        en="The file has no true values, so the error here is not known. Add a column '{name}' ({title}), at least to "
        "some rows.",
        ko="파일에 실측값이 없어 이 파일에서의 오차를 알 수 없습니다. 일부 행에라도 '{name}' ({title}) 열을 넣어 "
        "주십시오.",
    ),
    "few truths": Text(
        en="Only {cases} independent cases have a true value: too few to judge the error here.",
        ko="실측값이 있는 독립 사례가 {cases}건뿐이어서 오차를 판단하기에 부족합니다.",
    ),
    "no better": Text(
        en="The model is no better than {yardstick}: {metric} {here} against {theirs}.",
        ko="모델이 단순 기준({yardstick})보다 낫지 않습니다: {metric} {here}, 기준은 {theirs}.",
    ),
    "not surely better": Text(
        en="The model is not surely better than {yardstick}: {metric} {here} against {theirs}, {spread} times it.",
        ko="모델이 단순 기준({yardstick})보다 낫다고 확신할 수 없습니다: {metric} {here}, 기준은 {theirs}, {spread}배.",
    ),
    "better": Text(
        en="The model beats {yardstick}: {metric} {here} against {theirs}, {less} less.",
        ko="모델이 단순 기준({yardstick})보다 낫습니다: {metric} {here}, 기준은 {theirs} ({less} 작음).",
    ),
    "larger error": Text(
        en="The error is larger than the card promises: {metric} {here} (surely above {low}) against {card}.",
        ko="오차가 모델 카드보다 큽니다: {metric} {here} (적어도 {low}), 카드는 {card}.",
    ),
    "smaller error": Text(
        en="The error is smaller than the card promises: {metric} {here} ({spread}) against {card}.",
        ko="오차가 모델 카드보다 작습니다: {metric} {here} ({spread}), 카드는 {card}.",
    ),
    "too small error": Text(
        en="The error is far below the card's: {metric} {here} against {card}. Rows that were part of training "
        "prove nothing.",
        ko="오차가 모델 카드보다 훨씬 작습니다: {metric} {here}, 카드는 {card}. 학습에 쓰인 행이라면 근거가 되지 "
        "않습니다.",
    ),
    "same error": Text(
        en="The error is close to the card's: {metric} {here} ({spread}) against {card}.",
        ko="오차가 모델 카드와 비슷합니다: {metric} {here} ({spread}), 카드는 {card}.",
    ),
    "perhaps larger error": Text(
        en="The error may be larger than the card's, the cases are too few to be sure: {metric} {here} ({spread}) "
        "against {card}.",
        ko="오차가 모델 카드보다 클 수 있으나 사례가 적어 확실하지 않습니다: {metric} {here} ({spread}), "
        "카드는 {card}.",
    ),
    "higher coverage": Text(
        en="The 80% interval is wider than it need be: it holds {here} of the true values, on the card {card}.",
        ko="80% 구간이 필요 이상으로 넓습니다: 실측값의 {here}를 포함합니다. 카드는 {card}.",
    ),
    "lower coverage": Text(
        en="The 80% interval holds only {here} of the true values (surely below {high}), on the card {card}.",
        ko="80% 구간이 실측값의 {here}만 포함합니다 (많아야 {high}). 카드는 {card}.",
    ),
    "same coverage": Text(
        en="The 80% interval holds {here} of the true values, on the card {card}.",
        ko="80% 구간이 실측값의 {here}를 포함합니다. 카드는 {card}.",
    ),
    "few of a class": Text(
        en="Too few rows are of {classes}: PR-AUC cannot be judged here.",
        ko="{classes} 부류의 행이 너무 적어 PR-AUC를 판단할 수 없습니다.",
    ),
    "no better than guessing": Text(
        en="The model tells the classes no better than guessing: PR-AUC {here} against {guess}.",
        ko="모델이 부류를 찍는 것보다 낫게 가려내지 못합니다: PR-AUC {here}, 찍으면 {guess}.",
    ),
    "not surely better than guessing": Text(
        en="The model does not surely tell the classes better than guessing: PR-AUC {here} ({spread}) against {guess}.",
        ko="모델이 찍는 것보다 부류를 낫게 가려낸다고 확신할 수 없습니다: PR-AUC {here} ({spread}), 찍으면 {guess}.",
    ),
    "better than guessing": Text(
        en="The model tells the classes better than guessing: PR-AUC {here} ({spread}) against {guess}.",
        ko="모델이 찍는 것보다 부류를 낫게 가려냅니다: PR-AUC {here} ({spread}), 찍으면 {guess}.",
    ),
    "no card": Text(
        en="Too few rows are of {classes}: PR-AUC cannot be held against the card's.",
        ko="{classes} 부류의 행이 너무 적어 PR-AUC를 모델 카드와 견줄 수 없습니다.",
    ),
    "lower area": Text(
        en="The model tells the classes worse than the card promises: PR-AUC {here} (surely below {high}) against "
        "{card}{weighed}.",
        ko="부류를 가려내는 능력이 모델 카드보다 낮습니다: PR-AUC {here} (많아야 {high}), 카드는 {card}{weighed}.",
    ),
    "perhaps lower area": Text(
        en="The model may tell the classes worse than the card promises, the cases are too few to be sure: PR-AUC "
        "{here} ({spread}) against {card}{weighed}.",
        ko="부류를 가려내는 능력이 모델 카드보다 낮을 수 있으나 사례가 적어 확실하지 않습니다: PR-AUC {here} "
        "({spread}), 카드는 {card}{weighed}.",
    ),
    "too large area": Text(
        en="PR-AUC is far above the card's: {here} against {card}{weighed}. Rows that were part of training prove "
        "nothing.",
        ko="PR-AUC가 모델 카드보다 훨씬 높습니다: {here}, 카드는 {card}{weighed}. 학습에 쓰인 행이라면 근거가 되지 "
        "않습니다.",
    ),
    "same area": Text(
        en="The model tells the classes as well as the card promises: PR-AUC {here} ({spread}) against "
        "{card}{weighed}.",
        ko="부류를 가려내는 능력이 모델 카드와 비슷합니다: PR-AUC {here} ({spread}), 카드는 {card}{weighed}.",
    ),
    "probabilities off": Text(
        en="The probabilities do not hold here: {name} was expected in {expected} of the rows and came in {share} "
        "({low}–{high}).",
        ko="확률이 이곳에서는 맞지 않습니다: {name}의 예상 비율은 {expected}, 실제 비율은 {share} ({low}–{high}).",
    ),
    "probabilities perhaps off": Text(
        en="The probabilities are a little off here: {name} was expected in {expected} of the rows and came in {share} "
        "({low}–{high}).",
        ko="확률이 이곳에서는 조금 다릅니다: {name}의 예상 비율은 {expected}, 실제 비율은 {share} ({low}–{high}).",
    ),
    "probabilities hold": Text(
        en="The probabilities hold here: {name} was expected in {expected} of the rows and came in {share} "
        "({low}–{high}).",
        ko="확률이 이곳에서도 맞습니다: {name}의 예상 비율은 {expected}, 실제 비율은 {share} ({low}–{high}).",
    ),
    "classes found": Text(
        en="Of the rows of each class the model finds: {found}. Their mean is {here}, on the card {card}.",
        ko="부류마다 찾아낸 행의 비율: {found}. 평균은 {here}, 카드는 {card}.",
    ),
    "other shares": Text(
        en="The classes are shared otherwise than in training: {shares}.",
        ko="부류의 비율이 학습 때와 다릅니다: {shares}.",
    ),
    "contract kept": Text(en="Every row keeps the contract.", ko="모든 행이 데이터 계약을 지킵니다."),
    "contract broken": Text(
        en="{bad} of {rows} rows ({share}) break the contract. {first}",
        ko="전체 {rows}행 중 {bad}행({share})이 데이터 계약을 어깁니다. {first}",
    ),
    "true values unread": Text(
        en="Some true values break the contract and are not used. {first}",
        ko="일부 실측값이 데이터 계약을 어겨 사용하지 않았습니다. {first}",
    ),
    "short": Text(
        en="Too short to be forecast, with fewer than {steps} steps: {short} series.",
        ko="시계열 {short}개는 {steps}시점보다 짧아 예측할 수 없습니다.",
    ),
    "short for training": Text(
        en="Too short for the trained model, with fewer than {steps} steps: {short} series. Experts without training "
        "forecast them.",
        ko="시계열 {short}개는 {steps}시점보다 짧아 학습된 모델로 예측할 수 없습니다. "
        "학습이 필요 없는 예측기가 예측합니다.",
    ),
    "nothing": Text(en="Nothing is left to predict.", ko="예측할 수 있는 데이터가 없습니다."),
    "few": Text(
        en="Only {cases} independent cases: too few to tell whether they are like those of training.",
        ko="독립 사례가 {cases}건뿐이어서 학습 데이터와 비슷한지 판단하기에 부족합니다.",
    ),
    "inside": Text(en="No value lies outside the range of training.", ko="학습 범위를 벗어난 값이 없습니다."),
    "outside": Text(
        en="{share} of {units} have a value outside the range of training: {columns}.",
        ko="{units} 중 {share}에 학습 범위를 벗어난 값이 있습니다: {columns}.",
    ),
    "unseen": Text(
        en="Categories that the model never saw, among the {share} of {units} that are not like training: {columns}.",
        ko="모델이 본 적 없는 범주({units} 중 학습과 다른 {share} 가운데): {columns}.",
    ),
    "care drift": Text(
        en="{column} is spread very differently than in training: PSI {psi}, by chance up to {chance}.",
        ko="{column}의 분포가 학습 때와 크게 다릅니다: PSI {psi}, 우연으로는 {chance}까지.",
    ),
    "note drift": Text(
        en="{column} is spread somewhat differently than in training: PSI {psi}, by chance up to {chance}.",
        ko="{column}의 분포가 학습 때와 다소 다릅니다: PSI {psi}, 우연으로는 {chance}까지.",
    ),
    "no drift": Text(
        en="No input is spread differently than in training: PSI up to {psi}.",
        ko="분포가 학습 때와 다른 입력이 없습니다: PSI 최대 {psi}.",
    ),
    "no visible drift": Text(
        en="No input is visibly spread differently than in training: PSI up to {psi}. With so few cases only a PSI "
        "above {chance} can be told from chance.",
        ko="분포가 학습 때와 눈에 띄게 다른 입력이 없습니다: PSI 최대 {psi}. 사례가 적어 PSI {chance} 이하는 우연과 "
        "구별되지 않습니다.",
    ),
    "gaps": Text(
        en="{column} is missing in {here} of the rows, in training in {training}: the model fills it in.",
        ko="{column} 값이 {here} 행에서 비어 있습니다 (학습 때 {training}). 모델이 채워 넣습니다.",
    ),
    "confirmed": Text(
        en="The true values in the file keep the card's promises: what differs from training is told as a note.",
        ko="파일의 실측값이 모델 카드와 부합하므로, 학습 데이터와 다른 점은 참고 사항으로만 알립니다.",
    ),
}

YARDSTICKS = {
    "shares of the classes in these rows": Text(en="guessing by the shares of the classes", ko="부류의 비율대로 찍기"),
    "mean of these rows": Text(en="the mean of these rows", ko="이 파일의 평균"),
    "last value": Text(en="the last value carried on", ko="마지막 값 유지"),
    "seasonal naive": Text(en="the value of one season ago", ko="한 주기 전 값"),
    "experts": Text(en="the experts that need no training", ko="학습이 필요 없는 예측법"),
    "4-step average": Text(en="the average of the last four steps", ko="최근 4시점 평균"),
}

_RULES_KO = {
    "holds numbers": "숫자여야 합니다",
    "holds finite numbers": "유한한 숫자여야 합니다",
    "holds dates like 2011-12-04": "2011-12-04 형식의 날짜여야 합니다",
    "must not be empty": "비어 있으면 안 됩니다",
}


_OR_MORE, _MORE_KO = re.compile(r" or (\d+) more$"), r" 외 \1개"
_LIMITS_KO = {
    "is at least ": "이상이어야 합니다",
    "is at most ": "이하여야 합니다",
    "is one of ": "중 하나여야 합니다",
}


def say(sentence: str, **values: object) -> Text:
    """One of the `SENTENCES` with its figures; a text stands in the sentence's language.

    >>> say("few", cases=3).en
    'Only 3 independent cases: too few to tell whether they are like those of training.'
    """
    template = SENTENCES[sentence]
    en = {name: value.en if isinstance(value, Text) else value for name, value in values.items()}
    ko = {name: value.ko if isinstance(value, Text) else value for name, value in values.items()}
    return Text(en=template.en.format_map(en), ko=template.ko.format_map(ko))


def titled(column: Column) -> Text:
    """Title of a column."""
    return Text(en=column.title_en, ko=column.title_ko)


def percent(share: float) -> str:
    """Two digits of a share.

    >>> percent(0.834), percent(0.0123), percent(0.0), percent(0.0004)
    ('83%', '1.2%', '0%', '<0.1%')
    """
    if 0 < share < 0.001:
        return "<0.1%"
    return f"{share:.1%}" if 0 < share < 0.0995 else f"{share:.0%}"


def plain(value: float) -> str:
    """Four digits of a number without closing zeros.

    >>> plain(1.0), plain(206.54), plain(1145.0), plain(0.0192)
    ('1', '206.5', '1,145', '0.0192')
    """
    return f"{float(f'{value:.4g}'):,.10g}"


def measure(value: float, unit: str) -> str:
    """A number with its unit; pure numbers and counts have none."""
    return figure(value) + ("" if unit in ("1", "{unit}") else f" {unit}")


def spread(bounds: Bounds) -> str:
    """Where a figure surely lies."""
    return f"{figure(bounds.low)}–{figure(bounds.high)}"


def counted(number: int, contract: Contract) -> Text:
    """A number of rows, or of series."""
    rows = Text(en=f"{number:,} row{'' if number == 1 else 's'}", ko=f"{number:,}행")
    series = Text(en=f"{number:,} series", ko=f"시계열 {number:,}개")
    return {"rows": rows, "series": series}[signature_of(contract).grain]


def told(problem: Problem, contract: Contract) -> Text:
    """A problem as one sentence."""
    titles = {c.name: (c.title_en, c.title_ko) for c in contract.columns}
    en, ko = titles[problem.column]
    broken = "1 row breaks that" if problem.count == 1 else f"{problem.count:,} rows break that"
    seen_en = ", ".join(f"row {row}: {value!r}" for row, value in problem.examples)
    seen_ko = ", ".join(f"{row}행: {value!r}" for row, value in problem.examples)
    return Text(
        en=f"{en} ({problem.column}) {problem.rule}, however {broken} ({seen_en}).",
        ko=f"{ko} ({problem.column}): {_rule_ko(problem.rule)}. 위반 {problem.count:,}행 ({seen_ko}).",
    )


def _rule_ko(rule: str) -> str:
    for start, end in _LIMITS_KO.items():
        if rule.startswith(start):
            return f"{_OR_MORE.sub(_MORE_KO, rule.removeprefix(start))} {end}"
    return _RULES_KO.get(rule, rule)
