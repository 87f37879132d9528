import json, os, pika

url = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
channel.confirm_delivery()

def answered(channel, method, properties, body):
    event = json.loads(body)
    print(event["type"], json.dumps(event["data"]))
    if not event["type"].endswith(".accepted"):
        channel.stop_consuming()

channel.basic_consume("amq.rabbitmq.reply-to", answered, auto_ack=True)
document = {"document_id": "moon.md", "text": "# The Moon\n\nThe moon is made of rock, not of cheese."}
properties = pika.BasicProperties(delivery_mode=2, message_id="moon-1", reply_to="amq.rabbitmq.reply-to")
exchange = os.environ.get("SUBMIT_EXCHANGE", "contexture.submit")
channel.basic_publish(exchange, "local.handbook", json.dumps(document), properties, mandatory=True)
channel.start_consuming()
