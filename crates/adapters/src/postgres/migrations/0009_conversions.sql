-- What converters made of versions, beside the bodies and for as long: see ConvertedText of the port.

CREATE TABLE conversions (
    document_ref bigint NOT NULL,
    version      bigint NOT NULL,
    format       text NOT NULL,
    body         bytea NOT NULL,
    PRIMARY KEY (document_ref, version)
);
