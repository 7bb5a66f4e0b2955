// An OpenID provider (oidc-provider) that rotates refresh tokens and takes the second use of one for theft, beside an API that
// takes its access tokens. `node provider.mjs` prints one JSON line, its two ports, and serves until it is killed.
//
// The API: GET /counts tells what was asked of the provider, GET /grants/SUBJECT what became of one, POST /grants/SUBJECT makes
// one without a browser, GET /groups/SUBJECT takes its groups away, GET /tokens tells all opaque tokens that were given, DELETE
// ends the one access token that comes with it; anything else is 200 with a live token and 401 without.

import { createServer } from 'node:http';
import { createServer as reserve } from 'node:net';
import { once } from 'node:events';
import Provider from 'oidc-provider';

const kept = new Map();
const counts = { refreshed: 0, refused: 0, revoked: 0 };
const bySubject = {};
const groups = {};

class Kept {
  constructor(kind) { this.kind = kind; }
  at(id) { return `${this.kind}:${id}`; }
  async upsert(id, payload) { kept.set(this.at(id), payload); }
  async find(id) { return kept.get(this.at(id)); }
  async findByUid(uid) { return [...kept].find(([at, payload]) => at.startsWith(`${this.kind}:`) && payload.uid === uid)?.[1]; }
  async findByUserCode() { return undefined; }
  async consume(id) { kept.get(this.at(id)).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { kept.delete(this.at(id)); }
  async revokeByGrantId(grantId) {
    for (const [at, payload] of kept) if (payload.grantId === grantId) kept.delete(at);
  }
}

const free = async () => {
  const probe = reserve().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
};

const port = await free();
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: Kept,
  clients: [{
    client_id: 'gateway', client_secret: process.env.CLIENT_SECRET, redirect_uris: ['https://gateway.example.com/callback'],
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    ...JSON.parse(process.env.CLIENT ?? '{}'),
  }],
  cookies: { keys: ['of-no-use-elsewhere'] },
  features: {
    devInteractions: { enabled: true },
    backchannelLogout: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: true },
    // Access tokens for a named resource (RFC 8707) are JWTs for it alone, as MCP wants them; all others are opaque.
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'notes:read', audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  // Logouts go to the gateway on this machine.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  claims: { openid: ['sub', 'groups'] },
  conformIdTokenClaims: false,
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, groups: groups[sub] ?? ['staff'] }) }),
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'notes:read'],
  ttl: { AccessToken: 3600, RefreshToken: 86400, Grant: 86400, Session: 3600, Interaction: 600, AuthorizationCode: 60, IdToken: 3600 },
});

const of = (subject) => (bySubject[subject] ??= { refreshed: 0, refused: 0, revoked: 0 });
const refreshing = (ctx) => ctx.oidc.params?.grant_type === 'refresh_token';
const count = (ctx, what) => {
  counts[what] += 1;
  const subject = ctx.oidc.entities.Account?.accountId ?? ctx.oidc.entities.RefreshToken?.accountId;
  if (subject) of(subject)[what] += 1;
};
provider.on('grant.success', (ctx) => { if (refreshing(ctx)) count(ctx, 'refreshed'); });
provider.on('grant.error', (ctx) => { if (refreshing(ctx)) count(ctx, 'refused'); });
provider.on('grant.revoked', (ctx) => count(ctx, 'revoked'));

async function make(accountId) {
  const client = await provider.Client.find('gateway');
  const scope = 'openid offline_access';
  const grant = new provider.Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope(scope);
  const grantId = await grant.save();
  const given = { accountId, client, grantId, gty: 'authorization_code', scope };
  const access = await new provider.AccessToken(given).save();
  const refresh = await new provider.RefreshToken({ ...given, rotations: 0, iiat: Math.floor(Date.now() / 1000) }).save();
  return { access_token: access, refresh_token: refresh };
}

async function answer(request) {
  const [, kind, subject] = request.url.split('/');
  if (kind === 'counts') return [200, counts];
  if (kind === 'tokens') return [200, [...kept.keys()].filter((at) => /^(Access|Refresh)Token:/.test(at)).map((at) => at.split(':')[1])];
  if (kind === 'groups') return [200, groups[subject] = []];
  if (kind === 'grants') return [200, request.method === 'POST' ? await make(subject) : of(subject)];
  const token = request.headers.authorization?.replace(/^Bearer /, '');
  const found = token && await provider.AccessToken.find(token);
  if (request.method === 'DELETE') await found.destroy();
  return found ? [200, { subject: found.accountId }] : [401, { error: 'invalid_token' }];
}

const api = createServer(async (request, response) => {
  request.resume();
  const [status, body] = await answer(request);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
});

await once(createServer(provider.callback()).listen(port, '127.0.0.1'), 'listening');
await once(api.listen(0, '127.0.0.1'), 'listening');
console.log(JSON.stringify({ provider: port, api: api.address().port }));
