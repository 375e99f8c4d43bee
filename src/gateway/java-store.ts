/**
 * Java reads no PEM: where the guest has a Java, its certificates have to become a key store. Python writes it, since
 * `keytool` takes one certificate at a time and seconds for each under emulation.
 */

/** Where Debian's Java looks, whichever version it has. */
export const guestJavaStore = '/etc/ssl/certs/java/cacerts';

/**
 * `python3 -c <script> <bundle> <store>`: all certificates of a PEM bundle as trusted ones. The format, JKS, is that of
 * https://github.com/openjdk/jdk/blob/master/src/java.base/share/classes/sun/security/provider/JavaKeyStore.java
 */
export const javaStoreScript = `
import hashlib, re, ssl, struct, sys
bundle, store = sys.argv[1:]
blocks = re.findall("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", open(bundle).read(), re.S)
def text(value): return struct.pack(">H", len(value)) + value.encode()
content = struct.pack(">III", 0xFEEDFEED, 2, len(blocks))
for number, block in enumerate(blocks):
    der = ssl.PEM_cert_to_DER_cert(block)
    content += struct.pack(">I", 2) + text(f"ca-{number}") + struct.pack(">Q", 0) + text("X.509") + struct.pack(">I", len(der)) + der
content += hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + content).digest()
open(store, "wb").write(content)
`;
