//! What a file holds that should have certificates in PEM and has none. Its words are never shown: it may be a key.

/// What `content` seems to be, and what to do with it.
pub(super) fn seems(content: &[u8]) -> &'static str {
    let has = |words: &str| content.windows(words.len()).any(|window| window == words.as_bytes());
    match content.trim_ascii() {
        [] => "the file is empty",
        // A SEQUENCE whose length has two bytes, as that of a certificate has (X.690 section 8.1.3).
        [0x30, 0x82, ..] => "found DER (openssl x509 -inform DER makes PEM of it)",
        // The same in base64.
        [b'M', b'I', b'I', ..] => "found base64 without the lines around it",
        // "-----B" in base64.
        [b'L', b'S', b'0', b't', b'L', b'S', ..] => {
            "found PEM that is encoded in base64 once more, as in the data of a Secret"
        }
        [0xef, 0xbb, 0xbf, ..] => "found a byte order mark before it: save the text without one",
        _ if has("-----BEGIN TRUSTED CERTIFICATE-----") => {
            "found OpenSSL's TRUSTED CERTIFICATE (openssl x509 makes a CERTIFICATE of it)"
        }
        _ if has("-----BEGIN PKCS7-----") => "found PKCS #7 (openssl pkcs7 -print_certs makes certificates of it)",
        _ if has("PRIVATE KEY-----") => "found a private key",
        _ if has("-----BEGIN CERTIFICATE-----") => "found a certificate whose lines are indented, or cut short",
        _ => "found no -----BEGIN CERTIFICATE-----",
    }
}

#[cfg(test)]
mod tests {
    use super::super::roots::certificates;

    #[test]
    fn the_form_of_the_file_is_named() {
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let with_mark = format!("\u{feff}{pem}");
        let indented = pem.replace("---\n", "---\n  ").replace("-----BEGIN", "  -----BEGIN");
        let trusted = pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        for (content, says) in [
            (&b"\n"[..], "the file is empty"),
            (b"\x30\x82\x01\x0a\x30\x82", "found DER"),
            (b"MIIBIjANBgkq", "found base64 without"),
            (b"LS0tLS1CRUdJTiBDRVJU", "encoded in base64 once more"),
            (with_mark.as_bytes(), "byte order mark"),
            (indented.as_bytes(), "indented"),
            (trusted.as_bytes(), "TRUSTED CERTIFICATE"),
            (b"-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n", "PKCS #7"),
            (b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", "found a private key ("),
            (b"hello", "found no -----BEGIN CERTIFICATE----- (expected certificates in PEM)"),
        ] {
            let message = certificates(content).unwrap_err().to_string();
            assert!(message.contains(says) && message.ends_with("(expected certificates in PEM)"), "{says}: {message}");
        }
    }
}
