//! Publishes one document and waits for its end: `cargo run --example producer`.
//!
//! `AMQP_URL` names another broker than the one on this machine, `SUBMIT_EXCHANGE` another
//! exchange than `contexture.submit`. `docs/producers.md` explains the rest.

use std::error::Error;
use std::time::Duration;

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

/// The broker's name for "this channel".
const REPLY_TO: &str = "amq.rabbitmq.reply-to";
/// How long to wait for the next answer.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let url = setting("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f");
    let exchange = setting("SUBMIT_EXCHANGE", "contexture.submit");
    let document = json!({
        "document_id": "sun.md",
        "title": "The Sun",
        "metadata": { "kind": "star" },
        "text": "# The Sun\n\nThe sun is a ball of plasma.",
    });
    for event in publish(&url, &exchange, "local.handbook", &document).await? {
        println!("{} {}", event["type"], event["data"]);
    }
    Ok(())
}

/// Publishes a document to `tenant.collection`; returns the events told about it, the last of
/// which is its end.
pub async fn publish(
    url: &str,
    exchange: &str,
    routing_key: &str,
    document: &Value,
) -> Result<Vec<Value>, Box<dyn Error>> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    // Listen first, so that no answer is missed. Replies to this channel need no acknowledgement.
    let listen = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut answers =
        channel.basic_consume(REPLY_TO.into(), "".into(), listen, FieldTable::default()).await?;

    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id("sun-1".into())
        .with_reply_to(REPLY_TO.into());
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let body = serde_json::to_vec(document)?;
    let confirmation = channel
        .basic_publish(exchange.into(), routing_key.into(), mandatory, &body, properties)
        .await?
        .await?;
    if !confirmation.is_ack() || confirmation.take_message().is_some() {
        return Err("the broker did not take the message: publish it again".into());
    }

    let mut events = Vec::new();
    loop {
        let answer = tokio::time::timeout(PATIENCE, answers.next()).await?;
        let event: Value = serde_json::from_slice(&answer.ok_or("the broker closed the channel")??.data)?;
        let accepted = event["type"] == "contexture.document.accepted";
        events.push(event);
        if !accepted {
            connection.close(200, "done".into()).await?;
            return Ok(events);
        }
    }
}
