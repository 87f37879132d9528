-- What converters made of versions, beside the bodies and for as long: see ConvertedText of the port.

CREATE TABLE conversions (
    document_ref INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    format       TEXT    NOT NULL,
    body         BLOB    NOT NULL,
    PRIMARY KEY (document_ref, version)
) STRICT;
