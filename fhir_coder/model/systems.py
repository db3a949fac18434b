"""Code systems: their URIs, short names and titles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date


class System:
    """URIs of the code systems met on the way (HL7 Terminology; FHIR R4 section 4.3)."""

    ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
    ICD10PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
    ICD9CM = "http://hl7.org/fhir/sid/icd-9-cm"
    HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
    CPT = "http://www.ama-assn.org/go/cpt"
    CDT = "http://www.ada.org/cdt"
    SNOMED = "http://snomed.info/sct"
    LOINC = "http://loinc.org"
    CVX = "http://hl7.org/fhir/sid/cvx"
    NDC = "http://hl7.org/fhir/sid/ndc"
    RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
    ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    NPI = "http://hl7.org/fhir/sid/us-npi"
    MS_DRG = "https://www.cms.gov/Medicare/Medicare-Fee-for-Service-Payment/AcuteInpatientPPS/MS-DRG-Classifications-and-Software"
    REVENUE = "https://www.nubc.org/CodeSystem/RevenueCodes"
    LOCAL = "urn:fhir-coder:local"
    UNKNOWN = ""


SYSTEM_SHORT_NAMES: Mapping[str, str] = {
    "sct": System.SNOMED,
    "icd10cm": System.ICD10CM,
    "icd10pcs": System.ICD10PCS,
    "icd9cm": System.ICD9CM,
    "hcpcs": System.HCPCS,
    "cpt": System.CPT,
    "cdt": System.CDT,
    "loinc": System.LOINC,
    "cvx": System.CVX,
    "ndc": System.NDC,
    "rxnorm": System.RXNORM,
    "actcode": System.ACT,
    "revenue": System.REVENUE,
    "local": System.LOCAL,
}
"""The names people type (`--system sct`) and table rows use."""

SYSTEM_TITLES: Mapping[str, str] = {
    System.SNOMED: "SNOMED CT",
    System.ICD10CM: "ICD-10-CM",
    System.ICD10PCS: "ICD-10-PCS",
    System.ICD9CM: "ICD-9-CM",
    System.HCPCS: "HCPCS Level II",
    System.CPT: "CPT",
    System.CDT: "CDT",
    System.LOINC: "LOINC",
    System.CVX: "CVX",
    System.NDC: "NDC",
    System.RXNORM: "RxNorm",
    System.ACT: "encounter class",
    System.REVENUE: "revenue code",
    System.MS_DRG: "MS-DRG",
    System.LOCAL: "local code",
    System.UNKNOWN: "code of an unnamed system",
}
"""What a screen calls a system."""

BILLING_SYSTEMS = frozenset({System.ICD10CM, System.ICD10PCS, System.HCPCS, System.CPT, System.CDT})
"""Systems whose codes a payer takes as they are."""

ICD10_BEGAN = date(2015, 10, 1)
"""The first date of service with ICD-10-CM and ICD-10-PCS in the United States (45 CFR 162.1002)."""

_NUBC = "https://www.nubc.org/CodeSystem"

LICENSED_SYSTEMS = frozenset(
    {
        *(System.SNOMED, System.CPT, System.CDT),
        *(System.REVENUE, f"{_NUBC}/TypeOfBill", "http://nucc.org/provider-taxonomy"),
    }
)
"""Systems whose content may be shown only to who has a licence of its publisher."""
