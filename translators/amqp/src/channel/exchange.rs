//! Methods of class exchange.

use fairlead_kernel::{Binding, Change, Destination, Reason};

use super::Channel;
use crate::arguments::first_difference;
use crate::codec::{ShortStr, exchange};
use crate::connection::Peer;
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::{
    self, ALTERNATE, Kind, RESERVED_PREFIX, ROUTES_AS, binding, not_found, refuse_default,
    remove_if_left, require, shown,
};

impl Channel {
    pub(super) async fn declare_exchange(
        &self,
        declare: exchange::Declare,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        ensure(&declare, peer).await?;
        self.answer(declare.no_wait, exchange::DeclareOk {}, peer)
    }

    pub(super) async fn delete_exchange(
        &self,
        delete: exchange::Delete,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        remove(&delete, peer).await?;
        self.answer(delete.no_wait, exchange::DeleteOk {}, peer)
    }

    pub(super) async fn bind_exchange(
        &self,
        bind: exchange::Bind,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        let binding = between(&bind, peer)?;
        peer.caller.declare(vec![Change::Bind(binding)]).await?;
        self.answer(bind.no_wait, exchange::BindOk {}, peer)
    }

    //= exchange.unbind.absent: unbinding what does not exist succeeds, as in RabbitMQ.
    pub(super) async fn unbind_exchange(
        &self,
        unbind: exchange::Unbind,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        let bind = exchange::Bind {
            reserved_1: unbind.reserved_1,
            destination: unbind.destination,
            source: unbind.source,
            routing_key: unbind.routing_key,
            no_wait: unbind.no_wait,
            arguments: unbind.arguments,
        };
        let ends = [&bind.source, &bind.destination];
        let are_there = peer.caller.topology(|topology| {
            ends.iter()
                .all(|name| name.is_empty() || exchanges::find(topology, name).is_some())
        });
        if are_there {
            let binding = between(&bind, peer)?;
            let source = binding.from;
            peer.caller.declare(vec![Change::Unbind(binding)]).await?;
            remove_if_left(&mut peer.caller, source).await?;
        }
        self.answer(bind.no_wait, exchange::UnbindOk {}, peer)
    }
}

/// Finds the exchange as it is declared, or makes it.
async fn ensure(declare: &exchange::Declare, peer: &mut Peer) -> Result<(), Refusal> {
    refuse_default(&declare.exchange)?;
    let held = peer
        .caller
        .topology(|topology| exchanges::find(topology, &declare.exchange));
    match (held, declare.passive) {
        (Some(_), true) => Ok(()),
        (None, true) => Err(not_found(&declare.exchange)),
        (Some(held), false) => check_same(declare, &held, peer),
        (None, false) => create(declare, peer).await,
    }
}

async fn create(declare: &exchange::Declare, peer: &mut Peer) -> Result<(), Refusal> {
    let kind = Kind::asked(declare)?;
    if declare
        .exchange
        .as_bytes()
        .starts_with(RESERVED_PREFIX.as_bytes())
    {
        return Err(reserved(&declare.exchange));
    }
    let realm = exchanges::new_realm(declare, kind)?;
    match peer.caller.declare(vec![Change::CreateRealm(realm)]).await {
        Ok(_) => Ok(()),
        // Another connection was quicker: then it has to be the same exchange.
        Err(error) if error.reason == Reason::Exists => {
            let held = require(&peer.caller, &declare.exchange)?;
            check_same(declare, &held, peer)
        }
        Err(error) => Err(error.into()),
    }
}

//= exchange.declare.equivalent: an exchange is declared again as it is, or not at all.
fn check_same(
    declare: &exchange::Declare,
    held: &exchanges::Exchange,
    peer: &Peer,
) -> Result<(), Refusal> {
    let is = peer.caller.topology(|topology| {
        let realm = topology.realm_by_id(held.realm);
        realm.and_then(|realm| exchanges::declaration(realm))
    });
    let is = is.unwrap_or_else(|| exchange::Declare {
        // The shared exchange was never declared.
        durable: true,
        ..exchange::Declare::default()
    });
    let text = |said: bool| said.to_string();
    let said_kind = shown(&declare.kind);
    let pairs = [
        ("type", said_kind, held.type_name().to_owned()),
        ("durable", text(declare.durable), text(is.durable)),
        (
            "auto_delete",
            text(declare.auto_delete),
            text(is.auto_delete),
        ),
        ("internal", text(declare.internal), text(is.internal)),
    ];
    let flags = pairs.into_iter().find(|(_, said, is)| said != is);
    let flags = flags.map(|(name, said, is)| (name, format!("'{said}'"), format!("'{is}'")));
    let arguments = || first_difference(&[ALTERNATE, ROUTES_AS], &declare.arguments, &is.arguments);
    match flags.or_else(arguments) {
        None => Ok(()),
        Some((name, said, is)) => Err(ReplyCode::PreconditionFailed.because(format!(
            "inequivalent arg '{name}' for exchange '{}' in vhost '/': \
             received {said} but current is {is}",
            shown(&declare.exchange)
        ))),
    }
}

//= exchange.delete.absent: deleting an exchange that does not exist succeeds, as in RabbitMQ.
async fn remove(delete: &exchange::Delete, peer: &mut Peer) -> Result<(), Refusal> {
    refuse_default(&delete.exchange)?;
    if delete
        .exchange
        .as_bytes()
        .starts_with(RESERVED_PREFIX.as_bytes())
    {
        let name = shown(&delete.exchange);
        let text = format!("deletion of system exchange '{name}' in vhost '/' not allowed");
        return Err(ReplyCode::AccessRefused.because(text));
    }
    let held = peer.caller.topology(|topology| {
        let exchange = exchanges::find(topology, &delete.exchange)?;
        let is_used = topology.leads_on(exchange.realm);
        Some((exchange.realm, is_used))
    });
    match held {
        None => Ok(()),
        Some((_, true)) if delete.if_unused => {
            let text = format!("exchange '{}' in vhost '/' in use", shown(&delete.exchange));
            Err(ReplyCode::PreconditionFailed.because(text))
        }
        Some((realm, _)) => exchanges::remove(&mut peer.caller, realm).await,
    }
}

fn between(bind: &exchange::Bind, peer: &Peer) -> Result<Binding, Refusal> {
    refuse_default(&bind.source)?;
    refuse_default(&bind.destination)?;
    let source = require(&peer.caller, &bind.source)?;
    let destination = require(&peer.caller, &bind.destination)?;
    let to = Destination::Realm(destination.realm);
    binding(&source, &bind.routing_key, &bind.arguments, to)
}

fn reserved(name: &ShortStr) -> Refusal {
    let text = format!(
        "exchange name '{}' contains reserved prefix '{RESERVED_PREFIX}*'",
        shown(name)
    );
    ReplyCode::AccessRefused.because(text)
}
