#!/usr/bin/env bash
# @grpc/proto-loader sends an empty google.protobuf.Struct where it was given JSON, and says nothing.
#
# Struct is protobuf's type for a JSON object, and protobuf-es, another runtime for JavaScript, takes a plain
# object for one. grpc-js with proto-loader, the stack of gRPC's own Node tutorial, does not: it looks
# for a field called `fields`, finds none, and drops the rest, so {team: "people"} reaches the server as {}.
# Serialising raises no error, although it does once `fields` is there and holds no values in wire form. Only
# that, {fields: {team: {stringValue: "people"}}}, arrives. Whoever sends metadata that filters or access
# depend on loses it. Contexture refuses a Struct without fields, and a value without a kind.
#
# Needs node with npm. Exits with 1 when the behaviour is another than described here.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund @grpc/proto-loader@0.8.1 @grpc/grpc-js@1.14.7

cat > note.proto <<'PROTO'
syntax = "proto3";
package notes;
import "google/protobuf/struct.proto";
message Note { string id = 1; google.protobuf.Struct metadata = 2; }
service Notes { rpc Put(Note) returns (Note); }
PROTO

cat > run.js <<'JS'
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const version = (name) => require(`${name}/package.json`).version;
console.log('@grpc/proto-loader', version('@grpc/proto-loader'), '@grpc/grpc-js', version('@grpc/grpc-js'));
console.log('expected: metadata arrives as it was given, or the call fails');

const { notes } = grpc.loadPackageDefinition(loader.loadSync('note.proto', { keepCase: true, oneofs: true }));
const server = new grpc.Server();
server.addService(notes.Notes.service, { Put: (call, done) => done(null, call.request) });
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  const client = new notes.Notes(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const put = (metadata) => new Promise((resolve, reject) =>
    client.Put({ id: 'n', metadata }, (failed, note) => (failed ? reject(failed) : resolve(note.metadata))));
  const cases = [
    [{ team: 'people', year: 2024 }, '{}'],
    [{ fields: { team: 'people' } }, 'error'],
    [{ fields: { team: { stringValue: 'people' } } }, '{"fields":{"team":{"stringValue":"people","kind":"stringValue"}}}'],
  ];
  (async () => {
    let changed = false;
    for (const [given, described] of cases) {
      const seen = await put(given).then((metadata) => JSON.stringify(metadata), (failed) => `error: ${failed.message}`);
      console.log('given:', JSON.stringify(given), 'seen:', seen);
      changed ||= described === 'error' ? !seen.startsWith('error') : seen !== described;
    }
    client.close();
    server.forceShutdown();
    if (changed) { console.log('changed: not as described'); process.exit(1); }
    console.log('as described: a plain object arrives empty, and no call fails');
  })();
});
JS
node run.js
