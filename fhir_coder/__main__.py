"""`python -m fhir_coder`."""

from fhir_coder.cli import main

main()
