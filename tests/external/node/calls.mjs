// Many calls of the real GitHub client, pointed at a gateway: GATEWAY_URL is its base, GATEWAY_TOKEN the only credential it has.
// Prints one JSON object: each call's name and status.
import { Octokit } from "octokit";

const octokit = new Octokit({
  baseUrl: process.env.GATEWAY_URL,
  auth: process.env.GATEWAY_TOKEN,
  retry: { enabled: false },
  throttle: { enabled: false },
  log: { debug() {}, info() {}, warn() {}, error() {} },
});
const headers = { accept: "application/json" };
const repo = { owner: "octocat", repo: "hello-world", headers };
const issue = { ...repo, issue_number: 42 };
const { activity, git, issues, pulls, repos, search, users } = octokit.rest;

const calls = {
  list: () => issues.listForRepo({ ...repo, per_page: 2, labels: "bug,ui: wide", state: "open", since: "2026-01-01T00:00:00Z" }),
  create: () => issues.create({ ...repo, title: "Found a bug", body: "Größe: 5", labels: ["bug", "ui"], assignees: [], milestone: 1 }),
  get: () => issues.get(issue),
  update: () => issues.update({ ...issue, state: "closed", state_reason: "completed", milestone: null }),
  label: () => issues.addLabels({ ...issue, labels: ["bug"] }),
  unlabel: () => issues.removeLabel({ ...issue, name: "ui: wide" }),
  comment: () => issues.createComment({ ...issue, body: "Me too" }),
  pulls: () => pulls.list({ ...repo, state: "all", sort: "created", direction: "desc", page: 3 }),
  pull: () => pulls.create({ ...repo, title: "Fix", head: "octocat:fix", base: "main", draft: true }),
  repo: () => repos.get(repo),
  content: () => repos.getContent({ ...repo, path: "README.md", ref: "main" }),
  compare: () => repos.compareCommitsWithBasehead({ ...repo, basehead: "main...fix" }),
  ref: () => git.createRef({ ...repo, ref: "refs/heads/fix", sha: "aa218f56b14c9653891f9e74264a383fa43fefbd" }),
  star: () => activity.starRepoForAuthenticatedUser(repo),
  user: () => users.getByUsername({ username: "octocat", headers }),
  search: () => search.issuesAndPullRequests({ q: "repo:octocat/hello-world is:issue", per_page: 5, headers }),
};

const outcomes = {};
for (const [name, call] of Object.entries(calls)) {
  try {
    outcomes[name] = (await call()).status;
  } catch (error) {
    const data = error.response?.data;
    outcomes[name] = [error.status ?? String(error), data instanceof ArrayBuffer ? new TextDecoder().decode(data) : data];
  }
}
console.log(JSON.stringify(outcomes));
