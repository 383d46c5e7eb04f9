// A machine's life with @grpc/grpc-js. Arguments: address, proto folder, kernel, initrd. Prints one line a step.
const assert = require('node:assert');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, protos, kernel, initrd] = process.argv.slice(2);
const files = ['machine', 'console', 'fault', 'machine_check', 'ledger', 'event', 'snapshot'].map(n => `vmm/v1/${n}.proto`);
const api = grpc.loadPackageDefinition(loader.loadSync(files, { includeDirs: [protos], keepCase: true, longs: Number, enums: String, bytes: Buffer, oneofs: true })).vmm.v1;
const client = name => new api[name + 'Service'](address, grpc.credentials.createInsecure());
const [machines, consoles, faults, checks, ledgers, events, snapshots] = ['Machine', 'Console', 'Fault', 'MachineCheck', 'Ledger', 'Event', 'Snapshot'].map(client);
const call = (service, method, request) => new Promise((done, fail) => service[method](request, { deadline: Date.now() + 120000 }, (e, r) => e ? fail(e) : done(r)));
const expect = async (text, more = {}) => {
  const answer = await call(consoles, 'ExpectConsole', { machine: 'js', text, virtual_time_ns: 60e9, ...more });
  assert(answer.matched, `'${text}' was not seen`);
  return answer;
};
const failure = async (promise, code) => {
  try { await promise; } catch (e) { assert.strictEqual(e.code, code, e.message); return e; }
  assert.fail('the call succeeded');
};

(async () => {
  const seen = [];
  const watch = events.WatchEvents({ machines: ['js'] });
  watch.on('data', e => seen.push(e)).on('error', () => {});
  await new Promise(done => watch.on('metadata', done));

  const { machine } = await call(machines, 'CreateMachine', {
    name: 'js',
    spec: {
      memory_bytes: 256 * 2 ** 20, disks: [{ size_bytes: 16 * 2 ** 20 }], iommu: {},
      boot: { kernel, initrds: [initrd], command_line: 'console=ttyS0 cryptomgr.notests iommu.strict=1' },
    },
  });
  assert.strictEqual(machine.state, 'MACHINE_STATE_CREATED');
  console.log('ok create');

  const booted = await expect('READY', { run: true, from_offset: 0 });
  assert.strictEqual(booted.machine.state, 'MACHINE_STATE_PAUSED');
  console.log('ok boot');

  let text = '';
  const attached = consoles.AttachConsole();
  attached.write({ machine: 'js', from_offset: 0 });
  await new Promise((done, fail) => attached.on('error', fail).on('data', chunk => { text += chunk.data; if (text.includes('READY')) done(); }));
  attached.removeAllListeners('error').on('error', () => {}).cancel();
  assert(text.includes('Linux version'));
  console.log('ok console');

  await call(faults, 'CreateFaultRule', {
    machine: 'js',
    rule: {
      name: 'next-read', match: { device: '00:03.0', opcode: 2, direction: 'FAULT_DIRECTION_WRITE', count: 1 },
      action: { translation: { reason: 5 } },
    },
  });
  await expect('DMAR: [DMA Write NO_PASID] Request device [00:03.0]', { run: true, send: Buffer.from('dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 iflag=direct\n') });
  const { firings } = await call(faults, 'ListFiredFaults', { machine: 'js' });
  assert.deepStrictEqual(firings.map(f => [f.rule, f.reported]), [['next-read', true]]);
  console.log('ok fault');

  await call(checks, 'InjectMachineCheckText', { machine: 'js', text: 'CPU 0 BANK 3\nSTATUS CORRECTED ADDRV MISCV 0x135\nADDR 0x29da000\nMISC 0x8c\n' });
  await expect('Machine check events logged', { run: true });
  console.log('ok machine-check');

  const ledger = await call(ledgers, 'GetLedger', { machine: 'js' });
  assert(ledger.mark && ledger.entries.some(e => e.count > 0 && e.handler));
  console.log('ok ledger');

  await call(snapshots, 'ForkMachine', { machine: 'js', names: ['js-fork'] });
  const [mine, fork] = await Promise.all(['js', 'js-fork'].map(name => call(machines, 'HashMachine', { name })));
  assert.strictEqual(mine.sha256, fork.sha256);
  await call(machines, 'DeleteMachine', { name: 'js-fork' });
  await failure(call(machines, 'GetMachine', { name: 'js-fork' }), grpc.status.NOT_FOUND);
  console.log('ok fork');

  await call(consoles, 'SendConsole', { machine: 'js', input: Buffer.from('poweroff -f\n') });
  await call(machines, 'ResumeMachine', { name: 'js' });
  const ended = await call(machines, 'WaitMachine', { name: 'js', stopped: true });
  assert.strictEqual(ended.machine.outcome.reason, 'STOP_REASON_POWER_OFF');
  await call(machines, 'DeleteMachine', { name: 'js' });
  watch.cancel();
  const kinds = new Set(seen.map(e => e.event));
  for (const kind of ['state', 'console_line', 'fault_fired', 'iommu_faults', 'machine_check']) assert(kinds.has(kind), kind);
  assert(seen.every((e, i) => i === 0 || e.sequence > seen[i - 1].sequence));
  console.log('ok shut-down');
  process.exit(0);
})().catch(e => { console.error(e); process.exit(1); });
