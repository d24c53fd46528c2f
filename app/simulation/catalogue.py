"""A small catalogue of real institutions and programmes. Source: DUO open data (July 2026), credit DUO."""

from __future__ import annotations

from app.domain.catalogue import Institution, Programme

DEMO_INSTITUTION = Institution("25PJ", "Deltion College", "10")

INSTITUTIONS = (
    DEMO_INSTITUTION,
    Institution("08PG", "Firda", "04"),
    Institution("25LH", "Stichting ROC Midden Nederland", "19"),
    Institution("25LP", "Zadkine", "29"),
    Institution("25MB", "Stg ROC Summa College", "37"),
    Institution("25PX", "Regionaal Opleidingen Centrum Nova College", "25"),
    Institution("25PZ", "ROC van Amsterdam", "21"),
    Institution("27GZ", "ROC Mondriaan", "28"),
)

PROGRAMMES = (
    Programme("25148", "Medewerker marketing en communicatie", 4),
    Programme("25151", "Managementassistent/directiesecretaresse", 4),
    Programme("25168", "Gastheer/-vrouw", 2),
    Programme("25170", "Leidinggevende bediening", 4),
    Programme("25171", "Zelfstandig werkend gastheer/-vrouw", 3),
    Programme("25175", "Facilitair leidinggevende", 4),
    Programme("25180", "Kok", 2),
    Programme("25187", "Applicatie- en mediaontwikkelaar", 4),
    Programme("25190", "Netwerk- en mediabeheerder", 4),
    Programme("25297", "Technicus engineering", 4),
    Programme("25479", "Thuisbegeleider", 4),
    Programme("25605", "Allround medewerker IT systems and devices", 3),
    Programme("25607", "Medewerker ICT support", 2),
    Programme("25643", "Haarstylist heer", None),
    Programme("25655", "Mbo-Verpleegkundige", 4),
    Programme("25656", "verzorgende-IG", 3),
    Programme("25689", "Basismedewerker fashion", 2),
    Programme("25698", "Onderwijsassistent", 4),
    Programme("25731", "Dierenartsassistent paraveterinair", None),
    Programme("25734", "Zelfstandig medewerker dierverzorging", None),
    Programme("25743", "Assistent logistiek", None),
    Programme("25748", "Assistent verkoop/retail", 1),
    Programme("25998", "Software developer", 4),
    Programme("25999", "Medewerker ICT", 2),
    Programme("27015", "ICT support technician", 3),
)
