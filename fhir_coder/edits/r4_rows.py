"""The elements of FHIR R4 (4.0.1) in compact rows: Claim, Bundle, and what stands in or beside a Claim.

A row is `type < base: elements`; an element is `name:type`, with `*` where it repeats and `!` where it is required.
`name[x]:a|b` is a choice of types, `code(a,b)` a code of a required value set, `Ref(A,B)` a reference to these types.
A test compares the rows with the models of fhir.resources.
"""

from __future__ import annotations

ROWS = """
Element: id:string extension*:Extension
BackboneElement < Element: modifierExtension*:Extension
Resource: id:id meta:Meta implicitRules:uri language:code
DomainResource < Resource: text:Narrative contained*:Resource extension*:Extension modifierExtension*:Extension
Claim < DomainResource: identifier*:Identifier status!:code(active,cancelled,draft,entered-in-error)
  type!:CodeableConcept subType:CodeableConcept use!:code(claim,preauthorization,predetermination)
  patient!:Ref(Patient) billablePeriod:Period created!:dateTime enterer:Ref(Practitioner,PractitionerRole)
  insurer:Ref(Organization) provider!:Ref(Practitioner,PractitionerRole,Organization) priority!:CodeableConcept
  fundsReserve:CodeableConcept related*:Claim.related
  prescription:Ref(DeviceRequest,MedicationRequest,VisionPrescription)
  originalPrescription:Ref(DeviceRequest,MedicationRequest,VisionPrescription) payee:Claim.payee
  referral:Ref(ServiceRequest) facility:Ref(Location) careTeam*:Claim.careTeam supportingInfo*:Claim.supportingInfo
  diagnosis*:Claim.diagnosis procedure*:Claim.procedure insurance*!:Claim.insurance accident:Claim.accident
  item*:Claim.item total:Money
Meta < Element: versionId:id lastUpdated:instant source:uri profile*:canonical security*:Coding tag*:Coding
Extension < Element: url!:uri value[x]:base64Binary| boolean| canonical| code| date| dateTime| decimal| id| instant|
  integer| markdown| oid| positiveInt| string| time| unsignedInt| uri| url| uuid| Address| Age| Annotation|
  Attachment| CodeableConcept| Coding| ContactPoint| Count| Distance| Duration| HumanName| Identifier| Money| Period|
  Quantity| Range| Ratio| Ref| SampledData| Signature| Timing| ContactDetail| Contributor| DataRequirement|
  Expression| ParameterDefinition| RelatedArtifact| TriggerDefinition| UsageContext| Dosage
Address < Element: use:code(home,work,temp,old,billing) type:code(postal,physical,both) text:string line*:string
  city:string district:string state:string postalCode:string country:string period:Period
Period < Element: start:dateTime end:dateTime
Age < Element: value:decimal comparator:code(<,<=,>=,>) unit:string system:uri code:code
Annotation < Element: author[x]:Ref(Practitioner,Patient,RelatedPerson,Organization)|string time:dateTime
  text!:markdown
Reference < Element: reference:string type:uri identifier:Identifier display:string
Identifier < Element: use:code(usual,official,temp,secondary,old) type:CodeableConcept system:uri value:string
  period:Period assigner:Ref(Organization)
CodeableConcept < Element: coding*:Coding text:string
Coding < Element: system:uri version:string code:code display:string userSelected:boolean
Attachment < Element: contentType:code language:code data:base64Binary url:url size:unsignedInt hash:base64Binary
  title:string creation:dateTime
ContactDetail < Element: name:string telecom*:ContactPoint
ContactPoint < Element: system:code(phone,fax,email,pager,url,sms,other) value:string
  use:code(home,work,temp,old,mobile) rank:positiveInt period:Period
Contributor < Element: type!:code(author,editor,reviewer,endorser) name!:string contact*:ContactDetail
Count < Element: value:decimal comparator:code(<,<=,>=,>) unit:string system:uri code:code
DataRequirement < Element: type!:code profile*:canonical subject[x]:CodeableConcept|Ref(Group) mustSupport*:string
  codeFilter*:DataRequirement.codeFilter dateFilter*:DataRequirement.dateFilter limit:positiveInt
  sort*:DataRequirement.sort
DataRequirement.codeFilter < Element: path:string searchParam:string valueSet:canonical code*:Coding
DataRequirement.dateFilter < Element: path:string searchParam:string value[x]:dateTime|Period|Duration
Duration < Element: value:decimal comparator:code(<,<=,>=,>) unit:string system:uri code:code
DataRequirement.sort < Element: path!:string direction!:code(ascending,descending)
Distance < Element: value:decimal comparator:code(<,<=,>=,>) unit:string system:uri code:code
Dosage < BackboneElement: sequence:integer text:string additionalInstruction*:CodeableConcept
  patientInstruction:string timing:Timing asNeeded[x]:boolean|CodeableConcept site:CodeableConcept
  route:CodeableConcept method:CodeableConcept doseAndRate*:Dosage.doseAndRate maxDosePerPeriod:Ratio
  maxDosePerAdministration:Quantity maxDosePerLifetime:Quantity
Dosage.doseAndRate < Element: type:CodeableConcept dose[x]:Range|Quantity rate[x]:Ratio|Range|Quantity
Quantity < Element: value:decimal comparator:code(<,<=,>=,>) unit:string system:uri code:code
Range < Element: low:Quantity high:Quantity
Ratio < Element: numerator:Quantity denominator:Quantity
Timing < BackboneElement: event*:dateTime repeat:Timing.repeat code:CodeableConcept
Timing.repeat < Element: bounds[x]:Duration|Range|Period count:positiveInt countMax:positiveInt duration:decimal
  durationMax:decimal durationUnit:code(s,min,h,d,wk,mo,a) frequency:positiveInt frequencyMax:positiveInt
  period:decimal periodMax:decimal periodUnit:code(s,min,h,d,wk,mo,a) dayOfWeek*:code(mon,tue,wed,thu,fri,sat,sun)
  timeOfDay*:time when*:code offset:unsignedInt
Expression < Element: description:string name:id language!:code expression:string reference:uri
HumanName < Element: use:code(usual,official,temp,nickname,anonymous,old,maiden) text:string family:string
  given*:string prefix*:string suffix*:string period:Period
Money < Element: value:decimal currency:code
ParameterDefinition < Element: name:code use!:code(in,out) min:integer max:string documentation:string type!:code
  profile:canonical
RelatedArtifact < Element:
  type!:code(documentation,justification,citation,predecessor,successor,derived-from,depends-on,composed-of)
  label:string display:string citation:markdown url:url document:Attachment resource:canonical
SampledData < Element: origin!:Quantity period!:decimal factor:decimal lowerLimit:decimal upperLimit:decimal
  dimensions!:positiveInt data:string
Signature < Element: type*!:Coding when!:instant
  who!:Ref(Practitioner,PractitionerRole,RelatedPerson,Patient,Device,Organization)
  onBehalfOf:Ref(Practitioner,PractitionerRole,RelatedPerson,Patient,Device,Organization) targetFormat:code
  sigFormat:code data:base64Binary
TriggerDefinition < Element:
  type!:code(named-event,periodic,data-changed,data-added,data-modified,data-removed,data-accessed,data-access-ended)
  name:string timing[x]:Timing|Ref(Schedule)|date|dateTime data*:DataRequirement condition:Expression
UsageContext < Element: code!:Coding value[x]!:CodeableConcept| Quantity| Range|
  Ref(PlanDefinition,ResearchStudy,InsurancePlan,HealthcareService,Group,Location,Organization)
Narrative < Element: status!:code(generated,extensions,additional,empty) div!:xhtml
Claim.accident < BackboneElement: date!:date type:CodeableConcept location[x]:Address|Ref(Location)
Claim.careTeam < BackboneElement: sequence!:positiveInt provider!:Ref(Practitioner,PractitionerRole,Organization)
  responsible:boolean role:CodeableConcept qualification:CodeableConcept
Claim.diagnosis < BackboneElement: sequence!:positiveInt diagnosis[x]!:CodeableConcept|Ref(Condition)
  type*:CodeableConcept onAdmission:CodeableConcept packageCode:CodeableConcept
Claim.insurance < BackboneElement: sequence!:positiveInt focal!:boolean identifier:Identifier coverage!:Ref(Coverage)
  businessArrangement:string preAuthRef*:string claimResponse:Ref(ClaimResponse)
Claim.item < BackboneElement: sequence!:positiveInt careTeamSequence*:positiveInt diagnosisSequence*:positiveInt
  procedureSequence*:positiveInt informationSequence*:positiveInt revenue:CodeableConcept category:CodeableConcept
  productOrService!:CodeableConcept modifier*:CodeableConcept programCode*:CodeableConcept serviced[x]:date|Period
  location[x]:CodeableConcept|Address|Ref(Location) quantity:Quantity unitPrice:Money factor:decimal net:Money
  udi*:Ref(Device) bodySite:CodeableConcept subSite*:CodeableConcept encounter*:Ref(Encounter)
  detail*:Claim.item.detail
Claim.item.detail < BackboneElement: sequence!:positiveInt revenue:CodeableConcept category:CodeableConcept
  productOrService!:CodeableConcept modifier*:CodeableConcept programCode*:CodeableConcept quantity:Quantity
  unitPrice:Money factor:decimal net:Money udi*:Ref(Device) subDetail*:Claim.item.detail.subDetail
Claim.item.detail.subDetail < BackboneElement: sequence!:positiveInt revenue:CodeableConcept category:CodeableConcept
  productOrService!:CodeableConcept modifier*:CodeableConcept programCode*:CodeableConcept quantity:Quantity
  unitPrice:Money factor:decimal net:Money udi*:Ref(Device)
Claim.payee < BackboneElement: type!:CodeableConcept
  party:Ref(Practitioner,PractitionerRole,Organization,Patient,RelatedPerson)
Claim.procedure < BackboneElement: sequence!:positiveInt type*:CodeableConcept date:dateTime
  procedure[x]!:CodeableConcept|Ref(Procedure) udi*:Ref(Device)
Claim.related < BackboneElement: claim:Ref(Claim) relationship:CodeableConcept reference:Identifier
Claim.supportingInfo < BackboneElement: sequence!:positiveInt category!:CodeableConcept code:CodeableConcept
  timing[x]:date|Period value[x]:boolean|string|Quantity|Attachment|Ref reason:CodeableConcept
Bundle < Resource: identifier:Identifier
  type!:code(document,message,transaction,transaction-response,batch,batch-response,history,searchset,collection)
  timestamp:instant total:unsignedInt link*:Bundle.link entry*:Bundle.entry signature:Signature
Bundle.entry < BackboneElement: link*:Bundle.link fullUrl:uri resource:Resource search:Bundle.entry.search
  request:Bundle.entry.request response:Bundle.entry.response
Bundle.link < BackboneElement: relation!:string url!:uri
Bundle.entry.request < BackboneElement: method!:code(GET,HEAD,POST,PUT,DELETE,PATCH) url!:uri ifNoneMatch:string
  ifModifiedSince:instant ifMatch:string ifNoneExist:string
Bundle.entry.response < BackboneElement: status!:string location:uri etag:string lastModified:instant outcome:Resource
Bundle.entry.search < BackboneElement: mode:code(match,include,outcome) score:decimal
Patient < DomainResource: identifier*:Identifier active:boolean name*:HumanName telecom*:ContactPoint
  gender:code(male,female,other,unknown) birthDate:date deceased[x]:boolean|dateTime address*:Address
  maritalStatus:CodeableConcept multipleBirth[x]:boolean|integer photo*:Attachment contact*:Patient.contact
  communication*:Patient.communication generalPractitioner*:Ref(Organization,Practitioner,PractitionerRole)
  managingOrganization:Ref(Organization) link*:Patient.link
Patient.communication < BackboneElement: language!:CodeableConcept preferred:boolean
Patient.contact < BackboneElement: relationship*:CodeableConcept name:HumanName telecom*:ContactPoint address:Address
  gender:code(male,female,other,unknown) organization:Ref(Organization) period:Period
Patient.link < BackboneElement: other!:Ref(Patient,RelatedPerson) type!:code(replaced-by,replaces,refer,seealso)
Practitioner < DomainResource: identifier*:Identifier active:boolean name*:HumanName telecom*:ContactPoint
  address*:Address gender:code(male,female,other,unknown) birthDate:date photo*:Attachment
  qualification*:Practitioner.qualification communication*:CodeableConcept
Practitioner.qualification < BackboneElement: identifier*:Identifier code!:CodeableConcept period:Period
  issuer:Ref(Organization)
PractitionerRole < DomainResource: identifier*:Identifier active:boolean period:Period practitioner:Ref(Practitioner)
  organization:Ref(Organization) code*:CodeableConcept specialty*:CodeableConcept location*:Ref(Location)
  healthcareService*:Ref(HealthcareService) telecom*:ContactPoint availableTime*:PractitionerRole.availableTime
  notAvailable*:PractitionerRole.notAvailable availabilityExceptions:string endpoint*:Ref(Endpoint)
PractitionerRole.availableTime < BackboneElement: daysOfWeek*:code(mon,tue,wed,thu,fri,sat,sun) allDay:boolean
  availableStartTime:time availableEndTime:time
PractitionerRole.notAvailable < BackboneElement: description!:string during:Period
Organization < DomainResource: identifier*:Identifier active:boolean type*:CodeableConcept name:string alias*:string
  telecom*:ContactPoint address*:Address partOf:Ref(Organization) contact*:Organization.contact
  endpoint*:Ref(Endpoint)
Organization.contact < BackboneElement: purpose:CodeableConcept name:HumanName telecom*:ContactPoint address:Address
Location < DomainResource: identifier*:Identifier status:code(active,suspended,inactive) operationalStatus:Coding
  name:string alias*:string description:string mode:code(instance,kind) type*:CodeableConcept telecom*:ContactPoint
  address:Address physicalType:CodeableConcept position:Location.position managingOrganization:Ref(Organization)
  partOf:Ref(Location) hoursOfOperation*:Location.hoursOfOperation availabilityExceptions:string
  endpoint*:Ref(Endpoint)
Location.hoursOfOperation < BackboneElement: daysOfWeek*:code(mon,tue,wed,thu,fri,sat,sun) allDay:boolean
  openingTime:time closingTime:time
Location.position < BackboneElement: longitude!:decimal latitude!:decimal altitude:decimal
Coverage < DomainResource: identifier*:Identifier status!:code(active,cancelled,draft,entered-in-error)
  type:CodeableConcept policyHolder:Ref(Patient,RelatedPerson,Organization) subscriber:Ref(Patient,RelatedPerson)
  subscriberId:string beneficiary!:Ref(Patient) dependent:string relationship:CodeableConcept period:Period
  payor*!:Ref(Organization,Patient,RelatedPerson) class*:Coverage.class order:positiveInt network:string
  costToBeneficiary*:Coverage.costToBeneficiary subrogation:boolean contract*:Ref(Contract)
Coverage.class < BackboneElement: type!:CodeableConcept value!:string name:string
Coverage.costToBeneficiary < BackboneElement: type:CodeableConcept value[x]!:Quantity|Money
  exception*:Coverage.costToBeneficiary.exception
Coverage.costToBeneficiary.exception < BackboneElement: type!:CodeableConcept period:Period
RelatedPerson < DomainResource: identifier*:Identifier active:boolean patient!:Ref(Patient)
  relationship*:CodeableConcept name*:HumanName telecom*:ContactPoint gender:code(male,female,other,unknown)
  birthDate:date address*:Address photo*:Attachment period:Period communication*:RelatedPerson.communication
RelatedPerson.communication < BackboneElement: language!:CodeableConcept preferred:boolean
Encounter < DomainResource: identifier*:Identifier
  status!:code(planned,arrived,triaged,in-progress,onleave,finished,cancelled,entered-in-error,unknown)
  statusHistory*:Encounter.statusHistory class!:Coding classHistory*:Encounter.classHistory type*:CodeableConcept
  serviceType:CodeableConcept priority:CodeableConcept subject:Ref(Patient,Group) episodeOfCare*:Ref(EpisodeOfCare)
  basedOn*:Ref(ServiceRequest) participant*:Encounter.participant appointment*:Ref(Appointment) period:Period
  length:Duration reasonCode*:CodeableConcept
  reasonReference*:Ref(Condition,Procedure,Observation,ImmunizationRecommendation) diagnosis*:Encounter.diagnosis
  account*:Ref(Account) hospitalization:Encounter.hospitalization location*:Encounter.location
  serviceProvider:Ref(Organization) partOf:Ref(Encounter)
Encounter.classHistory < BackboneElement: class!:Coding period!:Period
Encounter.diagnosis < BackboneElement: condition!:Ref(Condition,Procedure) use:CodeableConcept rank:positiveInt
Encounter.hospitalization < BackboneElement: preAdmissionIdentifier:Identifier origin:Ref(Location,Organization)
  admitSource:CodeableConcept reAdmission:CodeableConcept dietPreference*:CodeableConcept
  specialCourtesy*:CodeableConcept specialArrangement*:CodeableConcept destination:Ref(Location,Organization)
  dischargeDisposition:CodeableConcept
Encounter.location < BackboneElement: location!:Ref(Location) status:code(planned,active,reserved,completed)
  physicalType:CodeableConcept period:Period
Encounter.participant < BackboneElement: type*:CodeableConcept period:Period
  individual:Ref(Practitioner,PractitionerRole,RelatedPerson)
Encounter.statusHistory < BackboneElement:
  status!:code(planned,arrived,triaged,in-progress,onleave,finished,cancelled,entered-in-error,unknown) period!:Period
Condition < DomainResource: identifier*:Identifier clinicalStatus:CodeableConcept verificationStatus:CodeableConcept
  category*:CodeableConcept severity:CodeableConcept code:CodeableConcept bodySite*:CodeableConcept
  subject!:Ref(Patient,Group) encounter:Ref(Encounter) onset[x]:dateTime|Age|Period|Range|string
  abatement[x]:dateTime|Age|Period|Range|string recordedDate:dateTime
  recorder:Ref(Practitioner,PractitionerRole,Patient,RelatedPerson)
  asserter:Ref(Practitioner,PractitionerRole,Patient,RelatedPerson) stage*:Condition.stage
  evidence*:Condition.evidence note*:Annotation
Condition.evidence < BackboneElement: code*:CodeableConcept detail*:Ref
Condition.stage < BackboneElement: summary:CodeableConcept
  assessment*:Ref(ClinicalImpression,DiagnosticReport,Observation) type:CodeableConcept
Procedure < DomainResource: identifier*:Identifier instantiatesCanonical*:canonical instantiatesUri*:uri
  basedOn*:Ref(CarePlan,ServiceRequest) partOf*:Ref(Procedure,Observation,MedicationAdministration)
  status!:code(preparation,in-progress,not-done,on-hold,stopped,completed,entered-in-error,unknown)
  statusReason:CodeableConcept category:CodeableConcept code:CodeableConcept subject!:Ref(Patient,Group)
  encounter:Ref(Encounter) performed[x]:dateTime|Period|string|Age|Range
  recorder:Ref(Patient,RelatedPerson,Practitioner,PractitionerRole)
  asserter:Ref(Patient,RelatedPerson,Practitioner,PractitionerRole) performer*:Procedure.performer
  location:Ref(Location) reasonCode*:CodeableConcept
  reasonReference*:Ref(Condition,Observation,Procedure,DiagnosticReport,DocumentReference) bodySite*:CodeableConcept
  outcome:CodeableConcept report*:Ref(DiagnosticReport,DocumentReference,Composition) complication*:CodeableConcept
  complicationDetail*:Ref(Condition) followUp*:CodeableConcept note*:Annotation focalDevice*:Procedure.focalDevice
  usedReference*:Ref(Device,Medication,Substance) usedCode*:CodeableConcept
Procedure.focalDevice < BackboneElement: action:CodeableConcept manipulated!:Ref(Device)
Procedure.performer < BackboneElement: function:CodeableConcept
  actor!:Ref(Practitioner,PractitionerRole,Organization,Patient,RelatedPerson,Device) onBehalfOf:Ref(Organization)
ServiceRequest < DomainResource: identifier*:Identifier instantiatesCanonical*:canonical instantiatesUri*:uri
  basedOn*:Ref(CarePlan,ServiceRequest,MedicationRequest) replaces*:Ref(ServiceRequest) requisition:Identifier
  status!:code(draft,active,on-hold,revoked,completed,entered-in-error,unknown)
  intent!:code(proposal,plan,directive,order,original-order,reflex-order,filler-order,instance-order,option)
  category*:CodeableConcept priority:code(routine,urgent,asap,stat) doNotPerform:boolean code:CodeableConcept
  orderDetail*:CodeableConcept quantity[x]:Quantity|Ratio|Range subject!:Ref(Patient,Group,Location,Device)
  encounter:Ref(Encounter) occurrence[x]:dateTime|Period|Timing asNeeded[x]:boolean|CodeableConcept
  authoredOn:dateTime requester:Ref(Practitioner,PractitionerRole,Organization,Patient,RelatedPerson,Device)
  performerType:CodeableConcept
  performer*:Ref(Practitioner,PractitionerRole,Organization,CareTeam,HealthcareService,Patient,Device,RelatedPerson)
  locationCode*:CodeableConcept locationReference*:Ref(Location) reasonCode*:CodeableConcept
  reasonReference*:Ref(Condition,Observation,DiagnosticReport,DocumentReference)
  insurance*:Ref(Coverage,ClaimResponse) supportingInfo*:Ref specimen*:Ref(Specimen) bodySite*:CodeableConcept
  note*:Annotation patientInstruction:string relevantHistory*:Ref(Provenance)
Device < DomainResource: identifier*:Identifier definition:Ref(DeviceDefinition) udiCarrier*:Device.udiCarrier
  status:code(active,inactive,entered-in-error,unknown) statusReason*:CodeableConcept distinctIdentifier:string
  manufacturer:string manufactureDate:dateTime expirationDate:dateTime lotNumber:string serialNumber:string
  deviceName*:Device.deviceName modelNumber:string partNumber:string type:CodeableConcept
  specialization*:Device.specialization version*:Device.version property*:Device.property patient:Ref(Patient)
  owner:Ref(Organization) contact*:ContactPoint location:Ref(Location) url:uri note*:Annotation
  safety*:CodeableConcept parent:Ref(Device)
Device.deviceName < BackboneElement: name!:string
  type!:code(udi-label-name,user-friendly-name,patient-reported-name,manufacturer-name,model-name,other)
Device.property < BackboneElement: type!:CodeableConcept valueQuantity*:Quantity valueCode*:CodeableConcept
Device.specialization < BackboneElement: systemType!:CodeableConcept version:string
Device.udiCarrier < BackboneElement: deviceIdentifier:string issuer:uri jurisdiction:uri carrierAIDC:base64Binary
  carrierHRF:string entryType:code(barcode,rfid,manual,card,self-reported,unknown)
Device.version < BackboneElement: type:CodeableConcept component:Identifier value!:string
DeviceRequest < DomainResource: identifier*:Identifier instantiatesCanonical*:canonical instantiatesUri*:uri
  basedOn*:Ref priorRequest*:Ref groupIdentifier:Identifier
  status:code(draft,active,on-hold,revoked,completed,entered-in-error,unknown)
  intent!:code(proposal,plan,directive,order,original-order,reflex-order,filler-order,instance-order,option)
  priority:code(routine,urgent,asap,stat) code[x]!:Ref(Device)|CodeableConcept parameter*:DeviceRequest.parameter
  subject!:Ref(Patient,Group,Location,Device) encounter:Ref(Encounter) occurrence[x]:dateTime|Period|Timing
  authoredOn:dateTime requester:Ref(Device,Practitioner,PractitionerRole,Organization) performerType:CodeableConcept
  performer:Ref(Practitioner,PractitionerRole,Organization,CareTeam,HealthcareService,Patient,Device,RelatedPerson)
  reasonCode*:CodeableConcept reasonReference*:Ref(Condition,Observation,DiagnosticReport,DocumentReference)
  insurance*:Ref(Coverage,ClaimResponse) supportingInfo*:Ref note*:Annotation relevantHistory*:Ref(Provenance)
DeviceRequest.parameter < BackboneElement: code:CodeableConcept value[x]:CodeableConcept|Quantity|Range|boolean
MedicationRequest < DomainResource: identifier*:Identifier
  status!:code(active,on-hold,cancelled,completed,entered-in-error,stopped,draft,unknown) statusReason:CodeableConcept
  intent!:code(proposal,plan,order,original-order,reflex-order,filler-order,instance-order,option)
  category*:CodeableConcept priority:code(routine,urgent,asap,stat) doNotPerform:boolean
  reported[x]:boolean|Ref(Patient,Practitioner,PractitionerRole,RelatedPerson,Organization)
  medication[x]!:CodeableConcept|Ref(Medication) subject!:Ref(Patient,Group) encounter:Ref(Encounter)
  supportingInformation*:Ref authoredOn:dateTime
  requester:Ref(Practitioner,PractitionerRole,Organization,Patient,RelatedPerson,Device)
  performer:Ref(Practitioner,PractitionerRole,Organization,Patient,Device,RelatedPerson,CareTeam)
  performerType:CodeableConcept recorder:Ref(Practitioner,PractitionerRole) reasonCode*:CodeableConcept
  reasonReference*:Ref(Condition,Observation) instantiatesCanonical*:canonical instantiatesUri*:uri
  basedOn*:Ref(CarePlan,MedicationRequest,ServiceRequest,ImmunizationRecommendation) groupIdentifier:Identifier
  courseOfTherapyType:CodeableConcept insurance*:Ref(Coverage,ClaimResponse) note*:Annotation
  dosageInstruction*:Dosage dispenseRequest:MedicationRequest.dispenseRequest
  substitution:MedicationRequest.substitution priorPrescription:Ref(MedicationRequest)
  detectedIssue*:Ref(DetectedIssue) eventHistory*:Ref(Provenance)
MedicationRequest.dispenseRequest < BackboneElement: initialFill:MedicationRequest.dispenseRequest.initialFill
  dispenseInterval:Duration validityPeriod:Period numberOfRepeatsAllowed:unsignedInt quantity:Quantity
  expectedSupplyDuration:Duration performer:Ref(Organization)
MedicationRequest.dispenseRequest.initialFill < BackboneElement: quantity:Quantity duration:Duration
MedicationRequest.substitution < BackboneElement: allowed[x]!:boolean|CodeableConcept reason:CodeableConcept
ClaimResponse < DomainResource: identifier*:Identifier status!:code(active,cancelled,draft,entered-in-error)
  type!:CodeableConcept subType:CodeableConcept use!:code(claim,preauthorization,predetermination)
  patient!:Ref(Patient) created!:dateTime insurer!:Ref(Organization)
  requestor:Ref(Practitioner,PractitionerRole,Organization) request:Ref(Claim)
  outcome!:code(queued,complete,error,partial) disposition:string preAuthRef:string preAuthPeriod:Period
  payeeType:CodeableConcept item*:ClaimResponse.item addItem*:ClaimResponse.addItem
  adjudication*:ClaimResponse.adjudication total*:ClaimResponse.total payment:ClaimResponse.payment
  fundsReserve:CodeableConcept formCode:CodeableConcept form:Attachment processNote*:ClaimResponse.processNote
  communicationRequest*:Ref(CommunicationRequest) insurance*:ClaimResponse.insurance error*:ClaimResponse.error
ClaimResponse.addItem < BackboneElement: itemSequence*:positiveInt detailSequence*:positiveInt
  subdetailSequence*:positiveInt provider*:Ref(Practitioner,PractitionerRole,Organization)
  productOrService!:CodeableConcept modifier*:CodeableConcept programCode*:CodeableConcept serviced[x]:date|Period
  location[x]:CodeableConcept|Address|Ref(Location) quantity:Quantity unitPrice:Money factor:decimal net:Money
  bodySite:CodeableConcept subSite*:CodeableConcept noteNumber*:positiveInt adjudication*!:ClaimResponse.adjudication
  detail*:ClaimResponse.addItem.detail
ClaimResponse.adjudication < BackboneElement: category!:CodeableConcept reason:CodeableConcept amount:Money
  value:decimal
ClaimResponse.addItem.detail < BackboneElement: productOrService!:CodeableConcept modifier*:CodeableConcept
  quantity:Quantity unitPrice:Money factor:decimal net:Money noteNumber*:positiveInt
  adjudication*!:ClaimResponse.adjudication subDetail*:ClaimResponse.addItem.detail.subDetail
ClaimResponse.addItem.detail.subDetail < BackboneElement: productOrService!:CodeableConcept modifier*:CodeableConcept
  quantity:Quantity unitPrice:Money factor:decimal net:Money noteNumber*:positiveInt
  adjudication*!:ClaimResponse.adjudication
ClaimResponse.error < BackboneElement: itemSequence:positiveInt detailSequence:positiveInt
  subDetailSequence:positiveInt code!:CodeableConcept
ClaimResponse.insurance < BackboneElement: sequence!:positiveInt focal!:boolean coverage!:Ref(Coverage)
  businessArrangement:string claimResponse:Ref(ClaimResponse)
ClaimResponse.item < BackboneElement: itemSequence!:positiveInt noteNumber*:positiveInt
  adjudication*!:ClaimResponse.adjudication detail*:ClaimResponse.item.detail
ClaimResponse.item.detail < BackboneElement: detailSequence!:positiveInt noteNumber*:positiveInt
  adjudication*!:ClaimResponse.adjudication subDetail*:ClaimResponse.item.detail.subDetail
ClaimResponse.item.detail.subDetail < BackboneElement: subDetailSequence!:positiveInt noteNumber*:positiveInt
  adjudication*:ClaimResponse.adjudication
ClaimResponse.payment < BackboneElement: type!:CodeableConcept adjustment:Money adjustmentReason:CodeableConcept
  date:date amount!:Money identifier:Identifier
ClaimResponse.processNote < BackboneElement: number:positiveInt type:code(display,print,printoper) text!:string
  language:CodeableConcept
ClaimResponse.total < BackboneElement: category!:CodeableConcept amount!:Money
"""

R5_ROWS = """
Claim: diagnosisRelatedGroup encounter event patientPaid traceNumber
Claim.careTeam: specialty
Claim.item: patientPaid productOrServiceEnd request tax traceNumber
Claim.item.detail: patientPaid productOrServiceEnd tax traceNumber
Claim.item.detail.subDetail: patientPaid productOrServiceEnd tax traceNumber
Claim.supportingInfo: valueIdentifier
Bundle: issues
Attachment: duration frames height pages width
Extension: valueAvailability valueCodeableReference valueExtendedContactDetail valueInteger64 valueMeta valueRatioRange
Practitioner: deceasedBoolean deceasedDateTime
PractitionerRole: availability characteristic communication contact
Organization: description qualification
Location: characteristic contact form virtualService
Coverage: insurancePlan insurer kind paymentBy
Encounter: actualPeriod admission careTeam plannedEndDate plannedStartDate reason subjectStatus virtualService
Condition: participant
Procedure: focus occurrenceDateTime occurrencePeriod reason recorded supportingInfo used
ServiceRequest: bodyStructure focus location reason
ClaimResponse: decision diagnosisRelatedGroup encounter event traceNumber
"""
"""Elements that R5 has and R4 has not, by type."""

_CURRENCIES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
USN UYI UYU UZS VED VES VND VUV WST XAF XCD XDR XOF XPF XSU XUA YER ZAR ZMW ZWG ZWL
"""
CURRENCIES = frozenset(_CURRENCIES.split())
"""ISO 4217: the currencies money is billed in."""

_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF",
}
MINOR_UNITS = {currency: decimals for decimals, words in _DECIMALS.items() for currency in words.split()}
"""ISO 4217: decimals of the currencies that have not two."""
