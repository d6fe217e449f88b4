"""Platform events of a Salesforce project as definitions. Pure: bytes in, documents out.

Both forms in which Salesforce writes metadata are read: source format, with a file for each field,
and metadata format, with the fields in the object's file. docs/salesforce.md says what becomes
what.
"""

from platform_events.files.salesforce.project import (
    Imported,
    MetadataFile,
    import_metadata,
    is_metadata,
)

__all__ = ["Imported", "MetadataFile", "import_metadata", "is_metadata"]
