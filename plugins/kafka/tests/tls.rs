//! What keeps TLS with a broker from being is said with the key that mends it; and the OpenSSL that does it is nobody
//! else's. A broker is played as far as its handshake: nothing that is tried here comes further.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Name};
use serde_json::{Value, json};
use tempfile::TempDir;
use tracer_plugin_api::{Backend as _, BackendError, Batch, CreateArgs, ErrorKind, Signal};
use tracer_plugin_kafka::Kafka;

const DAY: i64 = 24 * 60 * 60;

/// A key, and a certificate of it.
struct Identity {
    key: PKey<Private>,
    certificate: X509,
}

impl Identity {
    /// Signed by `by`, or by itself; for the address `name`. Valid between these seconds from now.
    fn new(by: Option<&Identity>, name: &str, from: i64, to: i64) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        let mut subject = X509Name::builder().unwrap();
        subject.append_entry_by_text("CN", if by.is_some() { "leaf" } else { "authority" }).unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(by.map_or(&subject, |by| by.certificate.subject_name())).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(now + from).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(now + to).unwrap()).unwrap();
        builder.set_pubkey(&key).unwrap();
        let mut constraints = BasicConstraints::new();
        if by.is_none() {
            constraints.ca();
        }
        builder.append_extension(constraints.critical().build().unwrap()).unwrap();
        let name = SubjectAlternativeName::new().ip(name).build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(name).unwrap();
        builder.sign(by.map_or(&key, |by| &by.key), MessageDigest::sha256()).unwrap();
        Identity { key, certificate: builder.build() }
    }

    fn authority() -> Self {
        Self::new(None, "127.0.0.1", -DAY, DAY)
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (pem, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&pem, self.certificate.to_pem().unwrap()).unwrap();
        std::fs::write(&key, self.key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        (pem, key)
    }

    /// The port of a server that shows this, and hangs up after the handshake. It wants a certificate of `clients`.
    fn serve(&self, clients: Option<&Identity>) -> u16 {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        acceptor.set_private_key(&self.key).unwrap();
        acceptor.set_certificate(&self.certificate).unwrap();
        if let Some(authority) = clients {
            let mut store = X509StoreBuilder::new().unwrap();
            store.add_cert(authority.certificate.clone()).unwrap();
            acceptor.set_verify_cert_store(store.build()).unwrap();
            acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        let acceptor = acceptor.build();
        listen(move |stream| drop(acceptor.accept(stream)))
    }
}

/// The port where each connection is given to `answer`.
fn listen(answer: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    port
}

fn create(port: u16, tls: &Value) -> Result<Kafka, BackendError> {
    let config = json!({"bootstrap_servers": format!("127.0.0.1:{port}"), "tls": tls});
    Kafka::create(&CreateArgs::detached("tested", &config.to_string()))
}

/// It fails as often as it is tried: nobody here answers Kafka's requests.
fn failure(backend: &Kafka) -> BackendError {
    let batch = Batch::first_try(Signal::Traces, b"\x0a\x00", 1, 1);
    backend.export(&batch, Duration::from_secs(4)).unwrap_err()
}

#[test]
fn what_is_wrong_with_the_broker_s_certificate_is_told_apart() {
    let folder = TempDir::new().unwrap();
    let (authority, other) = (Identity::authority(), Identity::authority());
    let (ca_file, _) = authority.write(folder.path(), "ca");
    let (other_file, _) = other.write(folder.path(), "other");
    let leaf = |name, from, to| Identity::new(Some(&authority), name, from, to);
    let right = leaf("127.0.0.1", -DAY, DAY);
    let hang_up = || listen(|stream| drop(stream.shutdown(std::net::Shutdown::Both)));
    let ours = json!({"ca_file": ca_file});
    std::thread::scope(|scope| {
        for (port, tls, says) in [
            (leaf("127.0.0.1", -2 * DAY, -DAY).serve(None), ours.clone(), "has expired"),
            (leaf("127.0.0.1", DAY, 2 * DAY).serve(None), ours.clone(), "is not valid yet"),
            (
                leaf("192.0.2.1", -DAY, DAY).serve(None),
                ours.clone(),
                "another name: write one of its names into `bootstrap_servers`",
            ),
            (
                right.serve(None),
                json!({"ca_file": other_file}),
                "not known here: name its certificate as `tls.ca_file`",
            ),
            (right.serve(None), json!({}), "not known here: name its certificate as `tls.ca_file`"),
            (right.serve(Some(&authority)), ours.clone(), "see `tls.cert_file` and `tls.key_file`"),
            (hang_up(), ours.clone(), "does not speak TLS"),
        ] {
            scope.spawn(move || {
                let error = failure(&create(port, &tls).unwrap());
                assert!(matches!(error.kind(), ErrorKind::Retryable | ErrorKind::Timeout), "{error:?}");
                assert!(error.message().contains(says), "{says}: {error}");
                // What helps is not what is cut off.
                assert!(error.message().find(says) < Some(300), "{error}");
            });
        }
    });
}

#[test]
fn a_file_of_tls_that_is_renewed_is_used_by_the_next_try_and_a_broken_one_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let authority = Identity::authority();
    let port = Identity::new(Some(&authority), "127.0.0.1", -DAY, DAY).serve(None);
    let (ca_file, _) = Identity::authority().write(folder.path(), "ca");
    let backend = create(port, &json!({"ca_file": ca_file})).unwrap();
    let is_unknown = |error: BackendError| error.message().contains("not known here");
    assert!(is_unknown(failure(&backend)));
    std::fs::write(&ca_file, "-----BEGIN CERTIFICATE-----\n").unwrap();
    assert!(is_unknown(failure(&backend)));
    authority.write(folder.path(), "ca");
    let error = failure(&backend);
    assert!(!is_unknown(error.clone()), "{error}");
}

#[test]
fn a_file_that_cannot_be_used_is_pointed_at() {
    let folder = TempDir::new().unwrap();
    let authority = Identity::authority();
    let (ca_file, ca_key) = authority.write(folder.path(), "ca");
    let (pem, key) = Identity::new(Some(&authority), "127.0.0.1", -DAY, DAY).write(folder.path(), "own");
    let encrypted = folder.path().join("encrypted.key");
    let cipher = openssl::symm::Cipher::aes_256_cbc();
    let secret = authority.key.private_key_to_pem_pkcs8_passphrase(cipher, b"s3cret").unwrap();
    std::fs::write(&encrypted, secret).unwrap();
    let gone = folder.path().join("gone.pem");
    create(9, &json!({"ca_file": ca_file, "cert_file": pem, "key_file": key})).unwrap();
    for (tls, pointer, says) in [
        (json!({"ca_file": gone}), "/tls/ca_file", "No such file"),
        (json!({"ca_file": folder.path()}), "/tls/ca_file", "not a file"),
        (json!({"ca_file": key}), "/tls/ca_file", "no certificate in it"),
        (json!({"cert_file": key, "key_file": key}), "/tls/cert_file", "no certificate in it"),
        (json!({"cert_file": pem, "key_file": pem}), "/tls/key_file", "no private key in it"),
        (json!({"cert_file": pem, "key_file": encrypted}), "/tls/key_file", "an encrypted one cannot be read"),
        (json!({"cert_file": pem, "key_file": ca_key}), "/tls/key_file", "not the key of the certificate"),
    ] {
        let Err(error) = create(9, &tls) else { panic!("{tls} was taken") };
        assert!(error.pointer() == pointer && error.message().contains(says), "{tls}: {error}");
    }
}

/// By `properties`, so that librdkafka is the first to need OpenSSL; and with settings for the program's OpenSSL that no
/// other one can follow.
#[test]
fn the_plugin_s_openssl_leaves_the_end_of_the_process_alone_and_does_not_read_the_program_s_settings() {
    let folder = TempDir::new().unwrap();
    let (ca_file, _) = Identity::authority().write(folder.path(), "ca");
    let program = folder.path().join("exit_handlers");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cc = Command::new("cc");
    cc.arg("-rdynamic").arg("-I").arg(here.join("../api/include")).arg(here.join("tests/exit_handlers.c"));
    let built = cc.arg("-o").arg(&program).arg("-ldl").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let settings = folder.path().join("openssl.cnf");
    std::fs::write(
        &settings,
        "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n[tls]\nCipherString = NOTHING\n",
    )
    .unwrap();
    let config = json!({"properties": {"security.protocol": "SSL", "ssl.ca.location": ca_file}});
    let plugin = std::env::current_exe().unwrap().with_file_name("libtracer_plugin_kafka.so");
    let ended =
        Command::new(program).arg(plugin).arg(config.to_string()).env("OPENSSL_CONF", settings).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "0 handlers\n");
}
