"""Every key of a contract file: where it stands, which field of the model it fills, and what it means.

The reader (`dxai.contract.document`), the JSON schema for editors (`dxai.contract.schema`) and the reference
(`dxai.contract.reference`) are made from this table; types and defaults are those of the models.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from dxai.contract.level import Key, Level
from dxai.contract.model import Column, Contract, Frequency
from dxai.contract.policy import UsagePolicy
from dxai.contract.versions import SEMVER


def _number_as_text(value: Any) -> Any:
    """A whole number says the same as a text; 1.10 would become 1.1."""
    if isinstance(value, float | bool):
        raise ValueError(f"needs quotes around {value}")
    return str(value) if isinstance(value, int) else value


def _a_day(text: str) -> str:
    return str(date.fromisoformat(text)) if text else ""


_Text = Annotated[str, BeforeValidator(_number_as_text), WithJsonSchema({"type": ["string", "integer"]})]
_Unit = Annotated[
    str,
    BeforeValidator(lambda value: "1" if value == 1 and type(value) is int else value),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[!-~]+$"}, {"const": 1}]}),
]
_Day = Annotated[
    str, AfterValidator(_a_day), WithJsonSchema({"type": "string", "pattern": "^([0-9]{4}(-[0-9]{2}){2})?$"})
]
_ColumnId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_Standard = Annotated[str, StringConstraints(pattern=r"^v3\.[0-9]+\.[0-9]+$")]
_Version = Annotated[str, StringConstraints(pattern=SEMVER)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, lt=1)]
_Filled = Annotated[str, Field(min_length=1)]

TITLES = (
    Key("titleEn", "title_en", "Fly ash", en="Title for people, in English.", ko="사람을 위한 영어 제목."),
    Key("titleKo", "title_ko", "플라이애시", en="Title for people, in Korean.", ko="사람을 위한 한국어 제목."),
)

COLUMN_PROPERTIES = Level(
    "Properties of a column", "열의 속성", Column, custom=True, keys=(
        Key("role", "role", "feature",
            en="What the column is for; the roles are explained in the data standard.",
            ko="열의 쓰임. 역할은 데이터 표준에서 설명합니다."),
        Key("unit", "unit", "kg/m3", form=_Unit,
            en="UCUM code of the numbers; `1` is a pure number, `{unit}` counts things.",
            ko="수의 UCUM 코드. `1`은 순수한 수, `{unit}`은 개수."),
        *TITLES,
        Key("semanticId", "semantic", "0173-1#02-AAB713#005",
            en="What the column means in a dictionary: IRDI of ECLASS or IEC 61360.",
            ko="사전에서의 뜻: ECLASS나 IEC 61360의 IRDI."),
        Key("holiday", "holiday", "KR",
            en="Country (ISO 3166) whose public holidays fill the column with 1, other days with 0, where a table has "
               "no value of its own; lunar and substitute days included. For a number with the role `known_future`.",
            ko="표에 값이 없으면 그 나라(ISO 3166)의 공휴일은 1, 다른 날은 0으로 채웁니다. 음력 명절과 대체 공휴일도 "
               "들어갑니다. 역할이 `known_future`인 수에 씁니다."),
        Key("monotone", "monotone", "up",
            en="How the predicted number, or the probability of the second of two classes, may follow this one, all "
               "else equal: `up`, it never falls when this rises; `down`, it never rises. A model that cannot promise "
               "it is refused.",
            ko="다른 값이 같을 때 예측값(범주가 둘이면 둘째 범주의 확률)이 이 수를 따르는 방향: `up`은 이 수가 커져도 "
               "내려가지 않고, `down`은 올라가지 않습니다. 지킬 수 없는 모델은 거절합니다."),
        Key("sensitivity", "sensitivity", "0.95", form=_Share,
            en="Of a target with two classes: share of the second one that the predicted class must find, whatever "
               "that costs in false alarms. Otherwise the best F1 of the rarer class decides.",
            ko="부류가 둘인 목표에서 예측 부류가 찾아내야 하는 둘째 부류의 비율. 오경보가 늘더라도 지킵니다. 없으면 "
               "드문 부류의 F1이 가장 좋은 확률에서 나눕니다."),
    ),
)  # fmt: skip

OPTIONS = Level(
    "Range of a column", "열의 범위", Column, keys=(
        Key("minimum", "minimum", "0", form=_Number,
            en="Least admissible number, inclusive, in the column's unit.",
            ko="허용하는 가장 작은 수(포함), 열의 단위로."),
        Key("maximum", "maximum", "1000", form=_Number,
            en="Largest admissible number, inclusive, in the column's unit.",
            ko="허용하는 가장 큰 수(포함), 열의 단위로."),
    ),
    others=("exclusiveMaximum", "exclusiveMinimum", "format", "maxLength", "minLength", "multipleOf", "pattern",
            "timezone", "defaultTimezone"),
)  # fmt: skip

ARGUMENTS = Level(
    "Values of a category", "범주의 값", Column, closed=False, keys=(
        Key("validValues", "categories", "[good, bad]", form=list[_Text],
            en="Admissible texts; of a target: its classes, in the order of the probabilities.",
            ko="허용하는 글자. 목표에서는 부류이며 확률의 순서와 같습니다."),
    ),
)  # fmt: skip

CHECK = Level(
    "Checks of a column", "열의 검사", Column, closed=False, keys=(
        Key("metric", "", "invalidValues", form=str,
            en="`invalidValues` lists the categories; other checks of the standard may stand beside it, unread.",
            ko="`invalidValues`가 범주를 적습니다. 표준의 다른 검사도 둘 수 있으나 읽지 않습니다."),
        Key("arguments", "", "{validValues: [good, bad]}", holds=ARGUMENTS,
            en="What the check takes.",
            ko="검사가 받는 것."),
    ),
)  # fmt: skip

COLUMN = Level(
    "A column", "열", Column, keys=(
        Key("name", "name", "fly_ash", form=_ColumnId,
            en="Short ASCII id in lower case; it never changes.",
            ko="소문자로 된 짧은 ASCII id. 바꾸지 않습니다."),
        Key("logicalType", "kind", "number", form=Literal["number", "integer", "string", "date", "timestamp"],
            en="What its values are; a `string` is a category.",
            ko="값의 종류. `string`은 범주입니다."),
        Key("required", "required", "true",
            en="Refuses gaps; otherwise the model fills them in and says how often.",
            ko="빈칸을 거절합니다. 아니면 모델이 채우고 몇 번 채웠는지 알립니다."),
        Key("description", "description", "Class F ash, dry.",
            en="More words about the column.",
            ko="열에 대한 설명."),
        Key("customProperties", "", "[{property: role, value: feature}]", holds=COLUMN_PROPERTIES, required=True,
            en="What ODCS has no key for.",
            ko="ODCS에 없는 것."),
        Key("primaryKey", "", "true", form=bool,
            en="No two rows share the values of these columns together.",
            ko="이 열들의 값이 모두 같은 두 행은 없습니다."),
        Key("primaryKeyPosition", "", "1", form=int,
            en="Place of the column among several keys.",
            ko="열쇠가 여럿일 때 그 순서."),
        Key("logicalTypeOptions", "", "{minimum: 0, maximum: 1000}", holds=OPTIONS,
            en="Range of a number.",
            ko="수의 범위."),
        Key("quality", "", "[{metric: invalidValues, mustBe: 0, arguments: {validValues: [good, bad]}}]",
            holds=CHECK, list_of=(0, None),
            en="Values of a category.",
            ko="범주의 값."),
    ),
    others=("id", "authoritativeDefinitions", "businessName", "classification", "criticalDataElement", "encryptedName",
            "examples", "items", "partitionKeyPosition", "partitioned", "physicalName", "physicalType", "properties",
            "relationships", "tags", "transformDescription", "transformLogic", "transformSourceObjects", "unique"),
)  # fmt: skip

TABLE_PROPERTIES = Level(
    "Properties of the table", "표의 속성", Contract, custom=True, keys=(
        Key("task", "task", "quality",
            en="`quality` predicts a value of a row, `demand` the next steps of a series.",
            ko="`quality`는 행의 값을, `demand`는 계열의 다음 단계를 예측합니다."),
        Key("group", "group", "[cement, water]",
            en="Columns that together name what must stay on one side of a split.",
            ko="분할의 한쪽에 남아야 하는 것을 함께 가리키는 열."),
        Key("split", "split", "grouped",
            en="How rows are held out for an honest score.",
            ko="정직한 점수를 위해 행을 떼어 두는 방법."),
        Key("timeZone", "time_zone", "Asia/Seoul",
            en="IANA name, of time stamps without a zone.",
            ko="시간대가 없는 시각의 IANA 시간대."),
        Key("frequency", "frequency", "weekly", form=Frequency,
            en="Step of a demand table; the next four count in it.",
            ko="수요 표의 단계. 아래 값들의 단위입니다."),
        Key("horizon", "horizon", "8",
            en="Steps ahead.",
            ko="예측할 단계 수."),
        Key("season", "season", "52",
            en="Steps after which a season comes again.",
            ko="계절이 되풀이되는 단계 수."),
        Key("minimumHistory", "minimum_history", "8",
            en="Fewest known steps from which a trained model forecasts a series; experts forecast shorter ones.",
            ko="학습된 모델에 필요한 가장 적은 단계 수. 더 짧으면 학습이 필요 없는 예측기가 예측한다."),
        Key("absentSteps", "absent", "zero",
            en="Whether a step without a row means zero units or a missing value.",
            ko="행이 없는 단계가 0인지 빈칸인지."),
        Key("hierarchy", "hierarchy", "[region, store]",
            en="Columns by which the series are added up, from the top down, each a part of the series' names or a "
               "static category: a level is the groups of all names up to one. The total is always there.",
            ko="계열을 더해 올리는 열을 위에서부터 적습니다. 계열 이름의 일부이거나 static인 범주여야 하며, 단계마다 "
               "거기까지의 이름이 묶음을 정합니다. 총합은 언제나 있습니다."),
        Key("titleEn", "", "Specimens", form=str,
            en="Title of the table for other tools; dxai shows the contract's.",
            ko="다른 도구를 위한 표의 영어 제목. dxai는 계약의 제목을 보입니다."),
        Key("titleKo", "", "공시체", form=str,
            en="The same in Korean.",
            ko="같은 것의 한국어."),
    ),
)  # fmt: skip

TABLE = Level(
    "The table", "표", Contract, keys=(
        Key("name", "", "specimens", form=_Filled, required=True,
            en="Name of the table.",
            ko="표의 이름."),
        Key("logicalType", "", "object", form=Literal["object"],
            en="Always `object`.",
            ko="언제나 `object`."),
        Key("physicalType", "", "table", form=str,
            en="Such as `table` or `file`.",
            ko="`table`이나 `file` 등."),
        Key("description", "", "One row is one tested specimen.", form=str,
            en="About the table.",
            ko="표에 대한 설명."),
        Key("dataGranularityDescription", "grain", "A mix recipe at one age.",
            en="What one row is.",
            ko="한 행이 무엇인지."),
        Key("customProperties", "", "[{property: task, value: quality}]", holds=TABLE_PROPERTIES, required=True,
            en="What ODCS has no key for.",
            ko="ODCS에 없는 것."),
        Key("properties", "", "[{name: fly_ash, …}]", holds=COLUMN, list_of=(1, None), required=True,
            en="The columns, in the order of the graph's inputs.",
            ko="열. 그래프 입력의 순서와 같습니다."),
    ),
    others=("id", "authoritativeDefinitions", "businessName", "physicalName", "quality", "relationships", "tags"),
)  # fmt: skip

POLICY = Level(
    "The usage policy", "이용 조건", UsagePolicy, keys=(
        Key("contractType", "contract_type", "provision",
            en="Of the guideline: one gives (`provision`), several create (`creation`), a platform (`platform`).",
            ko="가이드라인의 유형: 제공형(`provision`), 창출형(`creation`), 플랫폼형(`platform`)."),
        Key("provider", "provider", "Steel maker A",
            en="Who gives the data.",
            ko="주는 쪽."),
        Key("recipients", "recipients", "members of the alliance",
            en="Who gets it.",
            ko="받는 쪽."),
        Key("purposes", "purposes", "[quality prediction]",
            en="What it may be used for; empty: anything.",
            ko="이용 목적. 비우면 제한 없음."),
        Key("derivedData", "derived_data", "shared",
            en="Who holds what is made of the data.",
            ko="데이터로 만든 것을 갖는 쪽."),
        Key("modelOutputs", "model_outputs", "shared",
            en="Who holds models and predictions.",
            ko="모델과 예측을 갖는 쪽."),
        Key("redistribution", "redistribution", "false",
            en="Whether the data may be passed on.",
            ko="다시 넘겨도 되는지."),
        Key("crossBorder", "cross_border", "false",
            en="Whether it may leave the country.",
            ko="나라 밖으로 나가도 되는지."),
        Key("personalData", "personal_data", "false",
            en="Whether rows speak of persons.",
            ko="행에 개인에 관한 것이 있는지."),
        Key("until", "until", "2028-12-31", form=_Day,
            en="Last day of the right to use; empty: none was agreed.",
            ko="이용할 수 있는 마지막 날. 비우면 정하지 않음."),
    ),
)  # fmt: skip

CONTRACT_PROPERTIES = Level(
    "Properties of the contract", "계약의 속성", Contract, custom=True, keys=(
        *TITLES,
        Key("purposeKo", "purpose_ko", "배합으로 압축강도를 예측합니다.",
            en="The purpose in Korean.",
            ko="목적, 한국어로."),
        Key("limitationsKo", "limitations_ko", "1998년 이전의 실험실 공시체입니다.",
            en="The limitations in Korean.",
            ko="한계, 한국어로."),
        Key("licence", "licence", "CC-BY-4.0",
            en="SPDX id of the data's licence.",
            ko="데이터 이용 허락의 SPDX id."),
        Key("citation", "citation", "Yeh (1998), doi:10.24432/C5PK67",
            en="Where the data is from.",
            ko="데이터의 출처."),
        Key("usagePolicy", "policy", "{contractType: provision, provider: Steel maker A, recipients: members}",
            holds=POLICY,
            en="What was agreed about the data.",
            ko="데이터에 관해 합의한 것."),
    ),
)  # fmt: skip

DESCRIPTION = Level(
    "Purpose and limits", "목적과 한계", Contract, keys=(
        Key("purpose", "purpose", "Predict the strength of concrete.",
            en="What the data is for.",
            ko="데이터의 목적."),
        Key("limitations", "limitations", "Laboratory cylinders before 1998.",
            en="Where it must not be relied on.",
            ko="믿고 쓰면 안 되는 경우."),
    ),
    others=("usage", "authoritativeDefinitions", "customProperties"),
)  # fmt: skip

CONTRACT = Level(
    "The contract", "계약", Contract, keys=(
        Key("apiVersion", "", "v3.1.0", form=_Standard, required=True,
            en="Version of the Open Data Contract Standard: 3.x.",
            ko="Open Data Contract Standard의 판: 3.x."),
        Key("kind", "", "DataContract", form=Literal["DataContract"], required=True,
            en="Always `DataContract`.",
            ko="언제나 `DataContract`."),
        Key("id", "id", "concrete-strength", form=_Filled,
            en="Names the contract; it never changes.",
            ko="계약의 이름. 바꾸지 않습니다."),
        Key("name", "", "Concrete strength", form=str,
            en="Name for other tools.",
            ko="다른 도구를 위한 이름."),
        Key("version", "version", "1.0.0", form=_Version,
            en="Semantic version: a patch corrects words, a minor adds an optional column, a major is another table.",
            ko="유의적 판 번호: 패치는 말을, 부 판은 없어도 되는 열을, 주 판은 표를 바꿉니다."),
        Key("status", "", "active", form=str, required=True,
            en="Such as `draft`, `active`, `retired`.",
            ko="`draft`, `active`, `retired` 등."),
        Key("domain", "sector", "materials",
            en="Sector of the alliance.",
            ko="얼라이언스의 분과."),
        Key("description", "", "{purpose: Predict the strength of concrete.}", holds=DESCRIPTION, required=True,
            en="Purpose and limits.",
            ko="목적과 한계."),
        Key("customProperties", "", "[{property: titleEn, value: Concrete strength}]",
            holds=CONTRACT_PROPERTIES, required=True,
            en="What ODCS has no key for.",
            ko="ODCS에 없는 것."),
        Key("schema", "", "[{name: specimens, …}]", holds=TABLE, list_of=(1, 1), required=True,
            en="The one table.",
            ko="표 하나."),
    ),
    others=("authoritativeDefinitions", "contractCreatedTs", "dataProduct", "price", "roles", "servers",
            "slaDefaultElement", "slaProperties", "support", "tags", "team", "tenant"),
)  # fmt: skip
