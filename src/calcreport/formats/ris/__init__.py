"""What a radiology information system receives: HL7 version 2 and FHIR."""
