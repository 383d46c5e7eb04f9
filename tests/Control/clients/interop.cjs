// The interoperability cases of gRPC with @grpc/grpc-js. Arguments: address, proto folder. Prints one line a case.
const assert = require('node:assert');
const zlib = require('node:zlib');
let gunzips = 0;
const createGunzip = zlib.createGunzip;
Object.defineProperty(zlib, 'createGunzip', { value: (...a) => { gunzips++; return createGunzip(...a); } });
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, protos] = process.argv.slice(2);
const api = grpc.loadPackageDefinition(loader.loadSync('grpc/testing/test.proto', { includeDirs: [protos], keepCase: true, longs: String, bytes: Buffer })).grpc.testing;
const plain = grpc.credentials.createInsecure();
const client = new api.TestService(address, plain);
const zipping = new api.TestService(address, plain, { 'grpc.default_compression_algorithm': 2 });
const { status } = grpc;

const zeros = n => ({ body: Buffer.alloc(n) });
const unary = (method, request, c = client, ...rest) => new Promise((done, fail) => c[method](request, ...rest, (e, r) => e ? fail(e) : done(r)));
const failure = async (promise, code) => {
  try { await promise; } catch (e) { assert.strictEqual(e.code, code, e.message); return e; }
  assert.fail('the call succeeded');
};
const collect = call => new Promise((done, fail) => {
  const sizes = [];
  call.on('data', m => sizes.push(m.payload.body.length)).on('error', fail).on('end', () => done(sizes));
});
const next = call => new Promise((done, fail) => {
  const off = () => { call.removeListener('data', got); call.removeListener('error', bad); call.pause(); };
  const got = m => { off(); done(m); };
  const bad = e => { off(); fail(e); };
  call.on('data', got).on('error', bad);
  call.resume();
});
const ended = call => new Promise((done, fail) => { call.on('status', s => done(s)); call.on('error', () => {}); call.on('data', () => {}); call.resume(); });
const sizes = [31415, 9, 2653, 58979];
const asked = [27182, 8, 1828, 45904];

const cases = {
  async empty_unary() { assert.deepStrictEqual(await unary('EmptyCall', {}), {}); },

  async cacheable_unary() {
    const request = { payload: { body: Buffer.from(String(process.hrtime.bigint())) } };
    const metadata = new grpc.Metadata({ cacheableRequest: true });
    metadata.set('x-user-ip', '1.2.3.4');
    const first = await unary('CacheableUnaryCall', request, client, metadata);
    assert.deepStrictEqual(await unary('CacheableUnaryCall', request, client, metadata), first);
  },

  async large_unary() {
    const r = await unary('UnaryCall', { response_size: 314159, payload: zeros(271828) });
    assert.strictEqual(r.payload.body.length, 314159);
    assert(r.payload.body.every(b => b === 0));
  },

  async client_compressed_unary() {
    const request = compressed => ({ expect_compressed: { value: compressed }, response_size: 314159, payload: zeros(271828) });
    await failure(unary('UnaryCall', request(true)), status.INVALID_ARGUMENT);
    assert.strictEqual((await unary('UnaryCall', request(true), zipping)).payload.body.length, 314159);
    assert.strictEqual((await unary('UnaryCall', request(false))).payload.body.length, 314159);
  },

  async server_compressed_unary() {
    for (const compressed of [true, false]) {
      const before = gunzips;
      const r = await unary('UnaryCall', { response_compressed: { value: compressed }, response_size: 314159, payload: zeros(271828) });
      assert.strictEqual(r.payload.body.length, 314159);
      assert.strictEqual(gunzips - before, compressed ? 1 : 0);
    }
  },

  async client_streaming() {
    const sum = new Promise((done, fail) => {
      const call = client.StreamingInputCall((e, r) => e ? fail(e) : done(r));
      asked.forEach(n => call.write({ payload: zeros(n) }));
      call.end();
    });
    assert.strictEqual((await sum).aggregated_payload_size, 74922);
  },

  async client_compressed_streaming() {
    await failure(new Promise((done, fail) => {
      const call = client.StreamingInputCall((e, r) => e ? fail(e) : done(r));
      call.write({ expect_compressed: { value: true }, payload: zeros(27182) });
      call.end();
    }), status.INVALID_ARGUMENT);
    const sum = new Promise((done, fail) => {
      const call = zipping.StreamingInputCall((e, r) => e ? fail(e) : done(r));
      call.write({ expect_compressed: { value: true }, payload: zeros(27182) }, () =>
        call._write({ expect_compressed: { value: false }, payload: zeros(45904) }, grpc.writeFlags?.NO_COMPRESS ?? 2, () => call.end()));
    });
    assert.strictEqual((await sum).aggregated_payload_size, 73086);
  },

  async server_streaming() {
    assert.deepStrictEqual(await collect(client.StreamingOutputCall({ response_parameters: sizes.map(size => ({ size })) })), sizes);
  },

  async server_compressed_streaming() {
    const before = gunzips;
    const got = await collect(client.StreamingOutputCall({
      response_parameters: [{ compressed: { value: true }, size: 31415 }, { compressed: { value: false }, size: 92653 }],
    }));
    assert.deepStrictEqual(got, [31415, 92653]);
    assert.strictEqual(gunzips - before, 1);
  },

  async ping_pong() {
    const call = client.FullDuplexCall();
    for (let i = 0; i < 4; i++) {
      call.write({ response_parameters: [{ size: sizes[i] }], payload: zeros(asked[i]) });
      assert.strictEqual((await next(call)).payload.body.length, sizes[i]);
    }
    call.end();
    assert.strictEqual((await ended(call)).code, status.OK);
  },

  async empty_stream() {
    const call = client.FullDuplexCall();
    const all = collect(call);
    call.end();
    assert.deepStrictEqual(await all, []);
  },

  async custom_metadata() {
    const metadata = new grpc.Metadata();
    metadata.set('x-grpc-test-echo-initial', 'test_initial_metadata_value');
    metadata.set('x-grpc-test-echo-trailing-bin', Buffer.from([0xab, 0xab, 0xab]));
    const check = (initial, trailing) => {
      assert.deepStrictEqual(initial.get('x-grpc-test-echo-initial'), ['test_initial_metadata_value']);
      assert.deepStrictEqual(trailing.get('x-grpc-test-echo-trailing-bin'), [Buffer.from([0xab, 0xab, 0xab])]);
    };
    await new Promise((done, fail) => {
      let initial;
      client.UnaryCall({ response_size: 314159, payload: zeros(271828) }, metadata, e => e && fail(e))
        .on('metadata', m => { initial = m; })
        .on('status', s => { try { check(initial, s.metadata); done(); } catch (e) { fail(e); } });
    });
    await new Promise((done, fail) => {
      let initial;
      const call = client.FullDuplexCall(metadata);
      call.on('metadata', m => { initial = m; }).on('data', () => {}).on('error', fail)
        .on('status', s => { try { check(initial, s.metadata); done(); } catch (e) { fail(e); } });
      call.write({ response_parameters: [{ size: 314159 }], payload: zeros(271828) });
      call.end();
    });
  },

  async status_code_and_message() {
    const response_status = { code: 2, message: 'test status message' };
    const e = await failure(unary('UnaryCall', { response_status }), 2);
    assert.strictEqual(e.details, 'test status message');
    const call = client.FullDuplexCall();
    const end = ended(call);
    call.write({ response_status });
    call.end();
    const s = await end;
    assert.deepStrictEqual([s.code, s.details], [2, 'test status message']);
  },

  async special_status_message() {
    const message = '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n';
    const e = await failure(unary('UnaryCall', { response_status: { code: 2, message } }), 2);
    assert.strictEqual(e.details, message);
  },

  async unimplemented_method() { await failure(unary('UnimplementedCall', {}), status.UNIMPLEMENTED); },

  async unimplemented_service() {
    await failure(unary('UnimplementedCall', {}, new api.UnimplementedService(address, plain)), status.UNIMPLEMENTED);
  },

  async cancel_after_begin() {
    await failure(new Promise((done, fail) => {
      const call = client.StreamingInputCall((e, r) => e ? fail(e) : done(r));
      call.cancel();
    }), status.CANCELLED);
  },

  async cancel_after_first_response() {
    const call = client.FullDuplexCall();
    call.write({ response_parameters: [{ size: 31415 }], payload: zeros(27182) });
    assert.strictEqual((await next(call)).payload.body.length, 31415);
    const end = ended(call);
    call.cancel();
    assert.strictEqual((await end).code, status.CANCELLED);
  },

  async timeout_on_sleeping_server() {
    const call = client.FullDuplexCall({ deadline: Date.now() + 1 });
    const end = ended(call);
    call.on('error', () => {});
    call.write({ payload: zeros(27182) });
    assert.strictEqual((await end).code, status.DEADLINE_EXCEEDED);
  },

  async concurrent_large_unary() {
    const all = await Promise.all(Array.from({ length: 100 }, () => unary('UnaryCall', { response_size: 314159, payload: zeros(271828) })));
    assert(all.every(r => r.payload.body.length === 314159));
  },
};

(async () => {
  for (const [name, run] of Object.entries(cases)) {
    try {
      await Promise.race([run(), new Promise((_, fail) => setTimeout(() => fail(new Error('20 seconds passed')), 20000).unref())]);
      console.log(`ok ${name}`);
    } catch (e) {
      console.log(`not ok ${name}: ${String(e.message ?? e).split('\n')[0]}`);
    }
  }
  process.exit(0);
})();
