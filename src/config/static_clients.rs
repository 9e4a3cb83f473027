//! Client machines from the configuration. One that several services name is one client.

use std::collections::{BTreeMap, BTreeSet};

use domain::{ClientName, ServiceName};
use reqwest::Url;

use super::resolve::{Given, Resolver};
use super::settings::StaticClient;

/// Collected by name, which is the base URL.
#[derive(Default)]
pub(super) struct Clients(BTreeMap<ClientName, StaticClient>);

impl Clients {
    pub(super) fn into_list(self) -> Vec<StaticClient> {
        self.0.into_values().collect()
    }

    /// A client of ours, by its base URL.
    pub(super) fn add_base(&mut self, resolver: &mut Resolver<'_>, service: &ServiceName, base: &Given) {
        let Some(name) = resolver.parse(base, |text| client_name(&url(text)?)) else { return };
        let call = |path: &str| format!("{name}/{path}");
        let (submit_url, retrieve_url, kill_url) = (call("submit"), call("retrieve"), Some(call("kill")));
        self.add(
            resolver,
            base,
            service,
            StaticClient { name, services: BTreeSet::new(), submit_url, retrieve_url, kill_url },
        );
    }

    /// A client by the addresses of its three calls, as the predecessor's variables name it.
    pub(super) fn add_calls(
        &mut self,
        resolver: &mut Resolver<'_>,
        service: &ServiceName,
        upload: &Given,
        download: &Given,
        terminate: Option<&Given>,
    ) {
        let name = resolver.parse(upload, |text| client_name(&parent(url(text)?)));
        let submit_url = resolver.parse(upload, trimmed);
        let retrieve_url = resolver.parse(download, trimmed);
        let kill_url = terminate.map(|terminate| resolver.parse(terminate, trimmed));
        if let (Some(name), Some(submit_url), Some(retrieve_url)) = (name, submit_url, retrieve_url) {
            let kill_url = kill_url.flatten();
            self.add(
                resolver,
                upload,
                service,
                StaticClient { name, services: BTreeSet::new(), submit_url, retrieve_url, kill_url },
            );
        }
    }

    fn add(&mut self, resolver: &mut Resolver<'_>, given: &Given, service: &ServiceName, client: StaticClient) {
        let known = self.0.entry(client.name.clone()).or_insert_with(|| client.clone());
        let kill_differs = known.kill_url.is_some() && client.kill_url.is_some() && known.kill_url != client.kill_url;
        if known.submit_url != client.submit_url || known.retrieve_url != client.retrieve_url || kill_differs {
            resolver.wrong(
                given,
                format!("another service names the client {} with other addresses", client.name),
                "give all services of one client the same addresses",
            );
            return;
        }
        known.kill_url = known.kill_url.take().or(client.kill_url);
        known.services.insert(service.clone());
    }
}

fn url(text: &str) -> Result<Url, String> {
    let wrong = || "give an address such as http://10.0.0.5:9000".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    if url.scheme() != "http" || url.host_str().is_none() {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("give it without user, password, ? and #".into());
    }
    Ok(url)
}

fn trimmed(text: &str) -> Result<String, String> {
    Ok(url(text)?.as_str().trim_end_matches('/').to_owned())
}

/// Without the last part of the path: the base URL of a call.
fn parent(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
    url.set_path(&parent);
    url
}

fn client_name(url: &Url) -> Result<ClientName, String> {
    let base = url.as_str().trim_end_matches('/');
    base.parse().map_err(|error: domain::ids::IdError| format!("give a shorter address: {error}"))
}
