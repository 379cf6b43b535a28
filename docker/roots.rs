//! Prints the authorities that the binary falls back on, as PEM: for the image, where people can look at them and put others in
//! their place.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

fn main() {
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let text = BASE64_STANDARD.encode(root);
        println!("-----BEGIN CERTIFICATE-----");
        // Lines of 64 characters (RFC 7468, section 2).
        for line in text.as_bytes().chunks(64) {
            println!("{}", String::from_utf8_lossy(line));
        }
        println!("-----END CERTIFICATE-----");
    }
}
