/** The words of routing for people. A word that is not here is shown as it is. */

/** In which part a node was ahead of the next; see `cluster.scheduling.routing`. */
export const AHEAD: Readonly<Record<string, string>> = {
  loaded: 'model in memory',
  prefix: 'has read this prompt before',
  home: 'first place for this prompt',
  idle: 'more room',
  fastest: 'expected to be faster',
  cheapest: 'costs less',
  own: "the tenant's own",
  region: "in the gateway's region",
  turn: 'its turn',
  even: 'nothing tells them apart',
  last: 'last of the ranking',
  only: 'no other could',
  queue: 'first free slot',
}

/** Why a node was left out; see `cluster.dispatch.fleet`. */
export const RULED_OUT: Readonly<Record<string, string>> = {
  silent: 'It does not report.',
  model_absent: 'It does not have the model.',
  tried: 'It failed with this request.',
  breaker: 'It failed with this model of late.',
  load: 'Loading the model there takes longer than waiting elsewhere.',
  worse: 'Sixteen others are better.',
  draining: 'It gets no new requests.',
  failed: 'It could not load the model.',
  fetching: 'It is still fetching the model.',
  no_slots: 'It runs no requests.',
  engine: 'Its engine does not answer.',
  memory: 'The model does not fit into its memory.',
  tenant: 'It belongs to another tenant.',
  region: "It is not in a region of the model's profile.",
  label: "It lacks a label of the model's profile.",
  context: 'It has too little context.',
}
