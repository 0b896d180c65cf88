"""The units that people write: common codes by quantity, and the spellings of each, in English and Korean."""

from __future__ import annotations

import re

LONGEST = 80  # longer texts are no unit, and would only keep the parser busy


def lines(block: str) -> dict[str, tuple[str, ...]]:
    """``key: word word`` entries, one a line or parted by ``;``, as a mapping."""
    pairs = (re.split(": *", entry.strip()) for entry in re.split("[;\n]", block.strip()))
    return {key: tuple(words.split()) for key, words in pairs}


QUANTITIES = lines("""
temperature: Cel K [degF] [degR]
temperature rate: K/s K/min K/h
pressure: Pa hPa kPa MPa GPa mbar bar atm kgf/cm2 kgf/mm2 N/m2 N/mm2 [psi] mm[H2O]
gauge pressure: kPa{gauge} MPa{gauge} bar{gauge} kgf{gauge}/cm2 [psi]{gauge}
length: nm um mm cm m km [mil_i] [in_i] [ft_i] [yd_i] [mi_i]
area: mm2 cm2 m2 km2 har [in_i]2 [ft_i]2
volume: mm3 cm3 m3 uL mL L kL [gal_us] [ft_i]3
normal volume: L{normal} m3{normal}
mass: ug mg g kg t kt [oz_av] [lb_av]
time: ns us ms s min h d wk
calendar time: mo a
speed: mm/s mm/min cm/s m/s m/min m/h km/h [ft_i]/min [mi_i]/h [kn_i]
acceleration: mm/s2 m/s2 [g]
volume flow: mL/min L/s L/min L/h m3/s m3/min m3/h m3/d [gal_us]/min [ft_i]3/min
normal volume flow: L{normal}/min m3{normal}/min m3{normal}/h
mass flow: g/s g/min kg/s kg/min kg/h t/h t/d
density: ug/m3 mg/m3 kg/m3 ug/L mg/L g/L kg/L g/mL g/cm3 t/m3
area density: mg/cm2 g/m2 kg/m2
linear density: g/m kg/m tex
amount of substance: mmol mol
amount concentration: umol/L mmol/L mol/L mol/m3
force: mN N kN gf kgf [lbf_av]
torque: N.mm N.m kN.m kgf.cm kgf.m [lbf_av].[ft_i]
energy: J kJ MJ GJ W.h kW.h MW.h GW.h cal kcal Mcal Gcal [Btu_IT] 10*7.kcal
energy per mass: J/g kJ/kg MJ/kg kcal/kg
power: mW W kW MW GW J/s kcal/h [Btu_IT]/h [HP] 75.kgf.m/s
apparent power: V.A kV.A MV.A
reactive power: V.A{reactive} kV.A{reactive} MV.A{reactive}
reactive energy: V.A{reactive}.h kV.A{reactive}.h MV.A{reactive}.h
heat flux: W/cm2 W/m2 kW/m2
heat conductivity: mW/(m.K) W/(m.K)
heat transfer: W/(m2.K) kW/(m2.K)
specific heat: J/(kg.K) kJ/(kg.K) kcal/(kg.K)
voltage: uV mV V kV
electric field: V/m kV/m kV/mm
current: uA mA A kA
charge: A.s mA.h A.h
resistance: mOhm Ohm kOhm MOhm
conductance: uS mS
conductivity: uS/cm mS/cm S/m
capacitance: pF nF uF mF
inductance: uH mH
magnetic flux density: uT mT
frequency: /s /min /h Hz kHz MHz GHz
angle: mrad rad deg
angular velocity: deg/s deg/min rad/s
ratio: 1 % [ppth] [ppm] [ppb]
stiffness: mN/m N/m N/mm kN/m
dynamic viscosity: cP P mPa.s Pa.s
kinematic viscosity: cSt St mm2/s m2/s
data: bit By kBy MBy GBy TBy
data rate: bit/s kbit/s Mbit/s By/s kBy/s MBy/s
count: {unit} 10*3.{unit}
count rate: {unit}/s {unit}/min {unit}/h {unit}/d
money: {KRW} 10*3.{KRW} 10*4.{KRW} 10*6.{KRW} 10*8.{KRW}
carbon dioxide: g{CO2} kg{CO2} t{CO2}
carbon equivalent: g{CO2eq} kg{CO2eq} t{CO2eq}
""")
"""Quantity → its common codes, which convert into each other."""

# Read letter by letter, and before UCUM's own reading: by `ft` nobody means femtotonnes, by `pH` nobody picohenries.
EXACT = lines("""
1: -; deg: °; Cel: oC; MPa: Mpa MPA; [ft_i]: ft; N.m: Nm; kN.m: kNm; N.mm: Nmm; t: MT M/T; {unit}: EA pc
kgf/cm2: ㎏/㎠ ㎏f/㎠; kgf/mm2: ㎏/㎟
bar{gauge}: barG; MPa{gauge}: MPag MPaG; kgf{gauge}/cm2: kgf/cm2g kgf/cm2G kg/cm2g kg/cm2G
[mi_i]/h: mph; km/h: kph; m3/h: CMH; m3/min: CMM; m3/s: CMS; m3{normal}: Nm3; L{normal}: NL Nl
W/(m.K): W/mK; W/(m2.K): W/m2K; J/(kg.K): J/kgK; kJ/(kg.K): kJ/kgK; Pa.s: Pas; mPa.s: mPas; A.h: Ah; mA.h: mAh
V.A: VA; MV.A: MVA; MW.h: MWh MWH; V.A{reactive}: VAr VAR; MV.A{reactive}: Mvar MVar MVAr MVAR
MV.A{reactive}.h: Mvarh MVarh MVArh MVARh MVARH; 75.kgf.m/s: PS
kBy: kB KB; MBy: MB; GBy: GB; TBy: TB; Mbit/s: Mbps
[pH]: pH PH Ph ph; dB{A}: dBA dB(A); {HV}: HV; {HB}: HB HBW; {HRB}: HRB; {HRC}: HRC
""")

# Read in any case, without spaces, dots and underscores, and without a plural `s`.
WORDS = lines("""
Cel: °c degc degreec degreecelsius celsius 섭씨; [degF]: °f degf degreef degreefahrenheit fahrenheit 화씨
K: kelvin degk
/min: rpm r/min rev/min spm; /s: rps r/s rev/s; Hz: hz; kHz: khz; 1: 무차원 dimensionless unitless
%: percent pct 퍼센트; [ppth]: ‰; [ppm]: ppm; [ppb]: ppb; %{RH}: %rh rh%
%{wt}: wt% mass% %wt 중량%; %{vol}: vol% %vol 부피%; %{mol}: mol%; %{at}: at%
hPa: hpa; kPa: kpa; kPa{gauge}: kpag kpa(g); bar: bar bara; bar{gauge}: barg bar(g); [psi]: psi psia; [psi]{gauge}: psig
mm[Hg]: mmhg; mm[H2O]: mmh2o mmaq mmwc; atm/760: torr; kgf: kgf; kgf.m: kgfm; Mgf: tf tonf; [lbf_av]: lbf
um: micron 미크론; [in_i]: in inch inche 인치; [ft_i]: foot feet 피트; [yd_i]: yd yard; [mi_i]: mi mile 마일
km/h: kmph; [kn_i]: kn kts knot 노트; har: ha hectare 헥타르; cm3: cc; L/min: lpm
kg: kg; t: ton tonne 톤; [lb_av]: lb lbs pound; [oz_av]: oz ounce
[gal_us]: gal gallon; [gal_us]/min: gpm; [ft_i]3/min: cfm
us: usec; ms: msec; s: sec second 초; min: min minute 분; h: hr hour 시간; d: day 일
wk: week 주; mo: month 개월; a: yr year 년
kW: kw; W.h: wh; kW.h: kwh; GW.h: gwh; [Btu_IT]: btu; kcal: kcal; 10*7.kcal: toe; [HP]: hp; 75.kgf.m/s: 마력
kV.A: kva; V.A{reactive}: var; kV.A{reactive}: kvar; V.A{reactive}.h: varh; kV.A{reactive}.h: kvarh
By: byte 바이트; bit/s: bps; kbit/s: kbps; [NTU]: ntu; lx: lux; {px}: px pixel 픽셀; {Brix}: brix °brix °bx bx 브릭스
t{CO2}: tco2 tonco2; kg{CO2}: kgco2; g{CO2}: gco2
t{CO2eq}: tco2e tco2eq tco2-eq; kg{CO2eq}: kgco2e kgco2eq kgco2-eq; g{CO2eq}: gco2e gco2eq gco2-eq
{unit}: 개 낱개 대 ea pcs piece unit; 10*3.{unit}: 천개; {count}: 회 건 번 count; {cycle}: cycle 사이클; {shot}: shot 샷
{person}: 명 인 person; {box}: 박스 상자 box boxe; {sheet}: 매 장 sheet
{KRW}: 원 krw ₩; 10*3.{KRW}: 천원; 10*4.{KRW}: 만원; 10*6.{KRW}: 백만원; 10*8.{KRW}: 억원; {USD}: 달러 usd $
""")

# UCUM reads some of these, but a person may well mean something else: ask.
AMBIGUOUS = {
    "C": "Cel for degrees Celsius, A.s for coulombs",
    "F": "[degF] for degrees Fahrenheit, A.s/V for farads",
    "G": "g for grams, [g] for gravity, 10*-4.Wb/m2 for gauss",
    "H": "h for hours, V.s/A for henries",
    "M": "m for metres, min for minutes, mol/L for molar",
    "S": "s for seconds, A/V for siemens",
    "T": "t for tonnes, Wb/m2 for teslas",
    "''": "[in_i] for inches, deg/3600 for arc seconds",
    "도": "Cel for a temperature, deg for an angle",
    "ppt": "[ppth] for parts per thousand, [pptr] for parts per trillion",
    "kg/cm2": "kgf/cm2 for a pressure, kg/m2 for an area density",
    "kg/mm2": "kgf/mm2 for a pressure, kg/m2 for an area density",
    "N/A": "nothing where there is no unit, A-1.N for newtons per ampere",
}  # fmt: skip

_PREFIX_NAMES = lines("""
G: giga 기가; M: mega 메가; k: kilo 킬로; c: centi 센티; m: milli 밀리; u: micro 마이크로; n: nano 나노
""")
_UNIT_NAMES = lines("""
m: meter metre 미터; g: gram 그램; L: liter litre 리터; Pa: pascal 파스칼; N: newton 뉴턴; J: joule 줄
W: watt 와트; V: volt 볼트; A: ampere amp 암페어; Ohm: ohm 옴; Hz: hertz 헤르츠; cal: calorie 칼로리
""")


def _codes_by_spelling(*tables: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {spelling: code for table in tables for code, spellings in table.items() for spelling in spellings}


def _spelled_out() -> dict[str, tuple[str, ...]]:
    """`megapascal`, `밀리미터` and the like."""
    return {
        prefix + unit: tuple(first + last for first in firsts for last in lasts)
        for prefix, firsts in [("", ("",)), *_PREFIX_NAMES.items()]
        for unit, lasts in _UNIT_NAMES.items()
    }


CODE_OF_EXACT = _codes_by_spelling(EXACT)
CODE_OF_WORD = _codes_by_spelling(_spelled_out(), WORDS)
COMMON = {code for codes in QUANTITIES.values() for code in codes} | {*EXACT, *WORDS}
