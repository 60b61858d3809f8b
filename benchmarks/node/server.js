// npm's ocpp-rpc in strict mode: both directions checked against the OCPP schemas. Handlers answer and do nothing else.
const path = require('node:path');
const { createRequire } = require('node:module');
const fetched = createRequire(path.join(process.argv[3], 'package.json'));
const { RPCServer } = fetched('ocpp-rpc');

const server = new RPCServer({ protocols: ['ocpp1.6', 'ocpp2.0.1'], strictMode: true });
server.on('client', (client) => {
  const booted = () => ({ currentTime: new Date().toISOString(), interval: 300, status: 'Accepted' });
  client.handle('BootNotification', booted);
  client.handle('StatusNotification', () => ({}));
  client.handle('StartTransaction', () => ({ transactionId: 1, idTagInfo: { status: 'Accepted' } }));
  client.handle('MeterValues', () => ({}));
  client.handle('TransactionEvent', () => ({}));
});
server.listen(Number(process.argv[2]), '127.0.0.1');
