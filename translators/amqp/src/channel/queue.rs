//! Methods of class queue.

use fairlead_kernel::{Change, Depth, Destination, Reason, Stream};

use super::{Channel, reply};
use crate::arguments::first_difference;
use crate::codec::{ShortStr, queue};
use crate::connection::Peer;
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::{
    self, RESERVED_PREFIX, binding, refuse_default, remove_if_left, require, shown,
};
use crate::map::ADDRESS_PREFIX;
use crate::queues;

impl Channel {
    //= queue.declare.empty-name: elsewhere the empty name stands for the queue declared last here.
    pub(super) fn queue_name(&self, said: ShortStr) -> Result<ShortStr, Refusal> {
        match (said.is_empty(), &self.last_queue) {
            (false, _) => Ok(said),
            (true, Some(last)) => Ok(last.clone()),
            (true, None) => Err(ReplyCode::NotFound.because("no previously declared queue")),
        }
    }

    pub(super) async fn declare_queue(
        &mut self,
        mut declare: queue::Declare,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        if declare.passive && reply::is_reachable(&declare.queue, peer) {
            let answer = queue::DeclareOk {
                queue: declare.queue,
                message_count: 0,
                consumer_count: 1,
            };
            return self.answer(declare.no_wait, answer, peer);
        }
        if declare.queue.is_empty() && !declare.passive {
            declare.queue = ShortStr::cut(&peer.random_name("amq.gen-"));
            create(&declare, peer).await?;
        } else {
            declare.queue = self.queue_name(declare.queue)?;
            ensure(&declare, peer).await?;
        }
        self.last_queue = Some(declare.queue.clone());
        if declare.no_wait {
            return Ok(());
        }
        let depth = depth(&declare.queue, peer).await?;
        let answer = queue::DeclareOk {
            queue: declare.queue,
            message_count: u32::try_from(depth.ready).unwrap_or(u32::MAX),
            consumer_count: depth.consumers,
        };
        peer.out.method(self.number, answer)
    }

    pub(super) async fn bind_queue(
        &mut self,
        bind: queue::Bind,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        let name = self.queue_name(bind.queue)?;
        refuse_default(&bind.exchange)?;
        let queue = queues::require(&peer.caller, &name)?;
        let exchange = require(&peer.caller, &bind.exchange)?;
        let to = Destination::Stream(queue.key.clone());
        let binding = binding(&exchange, &bind.routing_key, &bind.arguments, to)?;
        peer.caller.declare(vec![Change::Bind(binding)]).await?;
        self.answer(bind.no_wait, queue::BindOk {}, peer)
    }

    //= queue.unbind.absent: unbinding what is not bound, or does not exist, succeeds, as in RabbitMQ.
    pub(super) async fn unbind_queue(
        &mut self,
        unbind: queue::Unbind,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        let name = self.queue_name(unbind.queue)?;
        refuse_default(&unbind.exchange)?;
        let exchange = peer
            .caller
            .topology(|topology| exchanges::find(topology, &unbind.exchange));
        if let Some(exchange) = exchange
            && queues::find(&peer.caller, &name).is_some()
        {
            let queue = queues::require(&peer.caller, &name)?;
            let to = Destination::Stream(queue.key.clone());
            let binding = binding(&exchange, &unbind.routing_key, &unbind.arguments, to)?;
            peer.caller.declare(vec![Change::Unbind(binding)]).await?;
            remove_if_left(&mut peer.caller, exchange.realm).await?;
        }
        peer.out.method(self.number, queue::UnbindOk {})
    }

    pub(super) async fn purge_queue(
        &mut self,
        purge: queue::Purge,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        let name = self.queue_name(purge.queue)?;
        let queue = queues::require(&peer.caller, &name)?;
        let purged = peer.caller.purge(&queue.key).await?;
        match purge.no_wait {
            true => Ok(()),
            false => {
                let message_count = u32::try_from(purged).unwrap_or(u32::MAX);
                peer.out
                    .method(self.number, queue::PurgeOk { message_count })
            }
        }
    }

    //= queue.delete.absent: deleting a queue that does not exist succeeds, as in RabbitMQ.
    pub(super) async fn delete_queue(
        &mut self,
        delete: queue::Delete,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        let name = self.queue_name(delete.queue.clone())?;
        let mut message_count = 0;
        if queues::find(&peer.caller, &name).is_some() {
            let queue = queues::require(&peer.caller, &name)?;
            let depth = peer.caller.depth(&queue.key).await?;
            check_unneeded(&delete, &name, depth)?;
            queues::remove(&mut peer.caller, &queue.key).await?;
            message_count = u32::try_from(depth.ready).unwrap_or(u32::MAX);
        }
        self.answer(delete.no_wait, queue::DeleteOk { message_count }, peer)
    }
}

/// Finds the queue as it is declared, or makes it.
async fn ensure(declare: &queue::Declare, peer: &mut Peer) -> Result<(), Refusal> {
    if declare.passive {
        return queues::require(&peer.caller, &declare.queue).map(drop);
    }
    if queues::find(&peer.caller, &declare.queue).is_none() {
        check_name(&declare.queue)?;
        return create(declare, peer).await;
    }
    let queue = queues::require(&peer.caller, &declare.queue)?;
    check_same(declare, &queue)
}

async fn create(declare: &queue::Declare, peer: &mut Peer) -> Result<(), Refusal> {
    let new = queues::new_stream(declare, &peer.caller)?;
    match peer.caller.declare(vec![Change::CreateStream(new)]).await {
        Ok(_) => Ok(()),
        // Another connection was quicker: then it has to be the same queue.
        Err(error) if error.reason == Reason::Exists => {
            let queue = queues::require(&peer.caller, &declare.queue)?;
            check_same(declare, &queue)
        }
        Err(error) => Err(error.into()),
    }
}

async fn depth(name: &ShortStr, peer: &mut Peer) -> Result<Depth, Refusal> {
    let queue = queues::require(&peer.caller, name)?;
    Ok(peer.caller.depth(&queue.key).await?)
}

//= queue.declare.reserved: names that begin with `amq.` are the server's.
fn check_name(name: &ShortStr) -> Result<(), Refusal> {
    for prefix in [RESERVED_PREFIX, ADDRESS_PREFIX] {
        if name.as_bytes().starts_with(prefix.as_bytes()) {
            let text = format!(
                "queue name '{}' contains reserved prefix '{prefix}*'",
                shown(name)
            );
            return Err(ReplyCode::AccessRefused.because(text));
        }
    }
    Ok(())
}

//= queue.declare.equivalent: a queue is declared again as it is, or not at all.
fn check_same(declare: &queue::Declare, queue: &Stream) -> Result<(), Refusal> {
    let held = queues::declaration(queue);
    if declare.exclusive != held.exclusive {
        return Err(queues::locked(&declare.queue));
    }
    let flags = [
        ("durable", declare.durable, held.durable),
        ("auto_delete", declare.auto_delete, held.auto_delete),
    ];
    for (name, said, is) in flags {
        if said != is {
            let (said, is) = (format!("'{said}'"), format!("'{is}'"));
            return Err(inequivalent(name, &declare.queue, (&said, &is)));
        }
    }
    let types = [&declare.arguments, &held.arguments].map(queues::type_of);
    let compared: &[&str] = match types {
        [said, is] if said != is => &["x-queue-type"],
        _ => &queues::COMPARED,
    };
    match first_difference(compared, &declare.arguments, &held.arguments) {
        None => Ok(()),
        Some((name, said, is)) => Err(inequivalent(name, &declare.queue, (&said, &is))),
    }
}

fn inequivalent(name: &str, queue: &ShortStr, (said, is): (&str, &str)) -> Refusal {
    ReplyCode::PreconditionFailed.because(format!(
        "inequivalent arg '{name}' for queue '{}' in vhost '/': \
         received {said} but current is {is}",
        shown(queue)
    ))
}

fn check_unneeded(delete: &queue::Delete, name: &ShortStr, depth: Depth) -> Result<(), Refusal> {
    let refuse = |state: &str| {
        let text = format!("queue '{}' in vhost '/' {state}", shown(name));
        Err(ReplyCode::PreconditionFailed.because(text))
    };
    if delete.if_unused && depth.consumers > 0 {
        return refuse("in use");
    }
    if delete.if_empty && depth.ready > 0 {
        return refuse("not empty");
    }
    Ok(())
}
