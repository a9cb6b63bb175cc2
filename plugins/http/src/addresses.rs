//! Where a server is.

use tracer_plugin_kit::look_up;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Finds the addresses of a server. ureq's own way panics where the system gives no thread, which would end the backend for good,
/// and takes one even for an address.
#[derive(Debug)]
pub(crate) struct AddressesOf;

/// As many as there is room for.
const MOST: usize = 16;

impl Resolver for AddressesOf {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let place = uri.scheme().zip(uri.authority());
        let Some(place) = place.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
        else {
            return Err(Error::BadUri(uri.to_string()));
        };
        let found = look_up(&place, *timeout.after)?;
        let mut addresses = self.empty();
        for address in config.ip_family().keep_wanted(found.into_iter()).take(MOST) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}
