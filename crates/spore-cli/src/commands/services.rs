//! `spore services`.

use crate::client::{self, Client, NodeStatus, Service, ServiceList, Target};
use crate::service;
use crate::table::Table;
use crate::watch::Watch;
use anyhow::Result;
use clap::Args;
use std::collections::HashMap;

/// List what the members offer, and who offers it.
///
/// Members tell each other 32-bit ids. A node with little memory keeps those alone; the names are
/// then asked from those who offer the services.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Services {
    /// Do not ask anybody for names that the node does not know
    #[arg(long)]
    no_resolve: bool,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  spore services           a table: name, id, who offers it
  spore services --json    for programs
  spore call relay on      use one";

impl Services {
    pub(crate) fn run(self) -> Result<()> {
        self.watch.show(self.target.json, || {
            let list = self.list()?;
            if self.target.json {
                return Ok(serde_json::to_string(&list)? + "\n");
            }
            if list.services.is_empty() {
                return Ok("No member offers a service.\n".to_owned());
            }
            Ok(table(&list.services).to_string())
        })
    }

    fn list(&self) -> Result<ServiceList> {
        let body = self.target.get(&self.target.node(), "/api/cluster/services")?;
        let mut list: ServiceList = client::parse(&body)?;
        if !self.no_resolve {
            resolve(&self.target.client(), &mut list.services);
        }
        list.services.sort_by(|a, b| (a.name.is_none(), &a.name).cmp(&(b.name.is_none(), &b.name)));
        Ok(list)
    }
}

/// Fills in the names that the node did not know, as far as a provider tells them. A provider that
/// does not answer is asked once.
fn resolve(client: &Client, services: &mut [Service]) {
    let mut asked: HashMap<String, Vec<String>> = HashMap::new();
    for entry in services.iter_mut().filter(|service| service.name.is_none()) {
        let live = entry.providers.iter().filter(|provider| provider.is_live());
        entry.name = live.map(client::Provider::api).find_map(|api| {
            let names = asked.entry(api).or_insert_with_key(|api| names_of(client, api));
            names.iter().find(|name| service::id(name) == entry.id).cloned()
        });
    }
}

/// The names of the services that the node at `api` offers; none if it does not answer.
fn names_of(client: &Client, api: &str) -> Vec<String> {
    let body = client.get(api, "/api/node/status");
    let status = body.and_then(|body| client::parse::<NodeStatus>(&body));
    status.map_or_else(
        |_| Vec::new(),
        |status| status.services.into_iter().map(|service| service.name).collect(),
    )
}

fn table(services: &[Service]) -> Table {
    let mut table = Table::new(&["NAME", "ID", "PROVIDERS"]);
    for service in services {
        let provider = |provider: &client::Provider| {
            if provider.is_live() {
                return provider.hostname.clone();
            }
            format!("{} ({})", provider.hostname, provider.status)
        };
        let mut providers: Vec<_> = service.providers.iter().map(provider).collect();
        providers.sort();
        table.row([
            service.name.clone().unwrap_or_else(|| "?".to_owned()),
            service.id.clone(),
            providers.join(", "),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{ServiceList, table};
    use crate::client::parse;

    #[test]
    fn a_service_has_a_line_with_all_who_offer_it() {
        let body = r#"{"services":[
            {"id":"00000001","name":"relay","providers":[
              {"id":"1","hostname":"b","address":"10.0.0.2","http_port":80,"status":"active"},
              {"id":"2","hostname":"a","address":"10.0.0.1","http_port":80,"status":"dead"}]},
            {"id":"00000002","name":null,"providers":[]}]}"#;
        let list: ServiceList = parse(body).unwrap();
        let text = table(&list.services).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "NAME   ID        PROVIDERS");
        assert_eq!(lines[1], "relay  00000001  a (dead), b");
        assert_eq!(lines[2], "?      00000002");
    }
}
