"""What keeps a service well: looking for what is wrong with a site, backups, and bringing one back."""

from fhir_coder.operations.backup import Backup, BackupError, make_backup, read_backup
from fhir_coder.operations.doctor import Sign, State, examine
from fhir_coder.operations.restore import Restored, restore

__all__ = ["Backup", "BackupError", "Restored", "Sign", "State", "examine", "make_backup", "read_backup", "restore"]
