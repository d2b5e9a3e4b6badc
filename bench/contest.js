'use strict'

// One workload: its participants start, take turns (A B C, A B C, …) so that a drift of the machine
// meets all of them, and end.

const { Peer } = require('./peer')

/**
 * @param {object} workload as described in workloads/index.js
 * @param {object} settings of options.js
 * @param {{ variables: NodeJS.ProcessEnv, missing: Record<string, string> }} environment
 * @returns {Promise<{ samples: Record<string, object[]>, errors: Record<string, string> }>}
 */
async function hold (workload, settings, environment) {
  const participants = workload.participants.map((name) => ({
    name,
    samples: [],
    spent: 0,
    error: environment.missing[name]
  }))
  try {
    await measure(workload, settings, environment.variables, participants)
  } finally {
    for (const participant of participants) participant.contestant?.close()
  }
  return {
    samples: Object.fromEntries(participants.map(({ name, samples }) => [name, samples])),
    errors: Object.fromEntries(
      participants.filter(({ error }) => error).map(({ name, error }) => [name, error])
    )
  }
}

async function measure (workload, settings, variables, participants) {
  const enter = (participant) => attempt(participant, async () => {
    const start = workload.enter ?? enterPeer.bind(workload)
    participant.contestant = await start(participant.name, variables)
  })
  if (!workload.fresh) {
    await Promise.all(participants.map(enter))
    for (const participant of participants) {
      const parameters = workload.parameters(settings.warmSize, participant.name)
      await attempt(participant, () => participant.contestant.sample(parameters))
    }
  }
  const rounds = Math.min(workload.rounds ?? settings.rounds, settings.mostRounds)
  for (let round = 0; round < rounds; round++) {
    const turns = participants.map((participant) => async () => {
      if (participant.spent > (workload.budget ?? settings.budget) * 1e3) return
      if (workload.fresh) await enter(participant)
      const parameters = workload.parameters(settings.size, participant.name)
      const start = performance.now()
      await attempt(participant, async () => {
        participant.samples.push(await participant.contestant.sample(parameters))
      })
      participant.spent += performance.now() - start
      if (workload.fresh) participant.contestant?.close()
    })
    if (workload.together) await Promise.all(turns.map((turn) => turn()))
    else for (const turn of turns) await turn()
  }
}

/** Does one step of a participant; one that failed takes no further part. */
async function attempt (participant, step) {
  if (participant.error) return
  try {
    await step()
  } catch (error) {
    participant.error = error.message.split('\n')[0]
    participant.contestant?.close()
  }
}

async function enterPeer (name, variables) {
  const peer = new Peer(name, this.app, variables)
  const operation = (name === 'floor' && this.floorOperation) || this.operation
  try {
    await peer.ready()
  } catch (error) {
    peer.close()
    throw error
  }
  return {
    sample: (parameters) => peer.ask(operation, parameters),
    close: () => peer.close()
  }
}

module.exports = { hold }
