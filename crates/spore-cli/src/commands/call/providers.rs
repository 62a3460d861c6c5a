//! Who offers a service.

use crate::client::{Provider, Service, ServiceList, Target, parse};
use crate::service;
use anyhow::{Context as _, Result, bail};

/// Those who offer the service `name` and are there; or the one that was chosen, there or not.
pub(super) fn of(target: &Target, name: &str, chosen: Option<&str>) -> Result<Vec<Provider>> {
    let node = target.node();
    let list: ServiceList = parse(&target.get(&node, "/api/cluster/services")?)?;
    select(list.services, name, chosen, &node)
}

fn select(
    services: Vec<Service>,
    name: &str,
    chosen: Option<&str>,
    node: &str,
) -> Result<Vec<Provider>> {
    // Another name of the same id may be what this node knows: a provider tells by its answer.
    let id = service::id(name);
    let of_name = services.into_iter().filter(|service| service.id == id);
    let mut all: Vec<Provider> = of_name.flat_map(|service| service.providers).collect();
    all.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
    all.dedup_by(|a, b| a.id == b.id);
    if all.is_empty() {
        bail!("{node} knows nobody who offers {name:?}; `spore services` lists what there is");
    }
    let Some(chosen) = chosen else {
        all.retain(Provider::is_live);
        if all.is_empty() {
            bail!("all who offered {name:?} are gone, says {node}");
        }
        return Ok(all);
    };
    all.retain(|provider| provider.hostname == chosen || provider.id == chosen);
    if all.iter().any(Provider::is_live) {
        all.retain(Provider::is_live);
    }
    match all.len() {
        0 => bail!("{chosen} does not offer {name:?}; `spore services` shows who does"),
        1 => Ok(all),
        _ => bail!("several members are called {chosen:?}; use the id"),
    }
}

/// Providers in random order, so that all have the same share of the calls.
pub(super) struct Shuffled(Vec<Provider>);

impl Shuffled {
    pub(super) fn new(mut providers: Vec<Provider>) -> Result<Self> {
        // Fisher and Yates. That 2^64 is no multiple of a number below 65 is not seen in a bias.
        for end in (1..providers.len()).rev() {
            let mut random = [0; 8];
            getrandom::fill(&mut random).context("the operating system gives no entropy")?;
            let below = u64::try_from(end)?.saturating_add(1);
            providers.swap(end, usize::try_from(u64::from_le_bytes(random) % below)?);
        }
        Ok(Self(providers))
    }
}

impl IntoIterator for Shuffled {
    type Item = Provider;
    type IntoIter = std::vec::IntoIter<Provider>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::{Provider, Service, Shuffled, select, service};
    use std::collections::BTreeSet;

    fn provider(id: &str, hostname: &str, status: &str) -> Provider {
        serde_json::from_value(serde_json::json!({
            "id": id, "hostname": hostname, "address": "10.0.0.1", "http_port": 80,
            "status": status,
        }))
        .unwrap()
    }

    fn chosen(chosen: Option<&str>) -> Result<Vec<String>, String> {
        let entry = |name: &str, known: Option<&str>, providers| Service {
            id: service::id(name),
            name: known.map(str::to_owned),
            providers,
        };
        let services = vec![
            entry("other", Some("other"), vec![provider("9", "i", "active")]),
            entry(
                "relay",
                None,
                vec![
                    provider("1", "a", "active"),
                    provider("2", "b", "suspect"),
                    provider("3", "c", "dead"),
                    provider("4", "b", "dead"),
                ],
            ),
        ];
        let providers = select(services, "relay", chosen, "10.0.0.9");
        providers
            .map(|all| all.into_iter().map(|provider| provider.id).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_living_are_asked_and_whoever_was_chosen() {
        assert_eq!(chosen(None).unwrap(), ["1", "2"]);
        assert_eq!(chosen(Some("a")).unwrap(), ["1"]);
        assert_eq!(chosen(Some("c")).unwrap(), ["3"], "it may be back");
        assert_eq!(chosen(Some("b")).unwrap(), ["2"], "its former self is not meant");
        assert_eq!(chosen(Some("4")).unwrap(), ["4"]);
        assert!(chosen(Some("i")).unwrap_err().contains("does not offer"));
    }

    #[test]
    fn each_provider_comes_first_now_and_then() {
        let providers: Vec<_> =
            (0..4).map(|n| provider(&n.to_string(), &n.to_string(), "active")).collect();
        let mut first = BTreeSet::new();
        for _ in 0..200 {
            let order: Vec<_> =
                Shuffled::new(providers.clone()).unwrap().into_iter().map(|p| p.id).collect();
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 4, "{order:?}");
            first.extend(order.first().cloned());
        }
        assert_eq!(first.len(), 4);
    }
}
