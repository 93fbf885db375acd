/** Makes a join token and shows the commands that turn a host into a node. */
import { Alert, Button, Select } from '@mantine/core'
import { useState } from 'react'
import { sentence } from '../../api/client'
import { useCreateJoinToken } from '../../api/nodes'
import { Command } from '../../ui/Command'
import { Dialog } from '../../ui/Dialog'
import { dateTime } from '../../ui/format'
import { Icon } from '../../ui/Icon'
import classes from './JoinNode.module.css'

const ENGINES = [
  { value: 'ollama', label: 'Ollama' },
  {
    value: 'openai --engine-url http://127.0.0.1:8000',
    label: 'vLLM, SGLang or another OpenAI-compatible server',
  },
  { value: 'llamacpp', label: 'llama.cpp, started by the node itself' },
]

export function JoinNode({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const create = useCreateJoinToken()
  const [engine, setEngine] = useState('ollama')
  const close = () => {
    onClose()
    create.reset()
  }
  const made = create.data
  return (
    <Dialog opened={opened} onClose={close} title="Join a node" size="lg">
      <div className={classes.form}>
        {create.error !== null && (
          <Alert color="red" variant="light" icon={<Icon name="alert" />}>
            {sentence(create.error)}
          </Alert>
        )}
        <Select
          label="What runs the models on that host"
          data={ENGINES}
          value={engine}
          allowDeselect={false}
          onChange={(value) => {
            setEngine(value ?? 'ollama')
          }}
        />
        {made === undefined ? (
          <>
            <p className={classes.text}>
              A join token lets one host join, within an hour. The host dials out only: it needs no open port.
            </p>
            <div className={classes.buttons}>
              <Button variant="default" onClick={close}>
                Cancel
              </Button>
              <Button
                loading={create.isPending}
                onClick={() => {
                  create.mutate()
                }}
              >
                Make a join token
              </Button>
            </div>
          </>
        ) : (
          <>
            <p className={classes.text}>On that host, where OllamaMax is installed:</p>
            <Command
              label="Join the node"
              text={`ollamamax-node join ${window.location.origin} \\\n  --token ${made.token} \\\n  --engine ${engine}`}
              wrap
            />
            <Command label="Run the node" text="ollamamax-node run" />
            <p className={classes.text}>
              The token is shown this once and lapses on {dateTime(made.expires_at)}. The node appears on the
              overview as soon as it runs.
            </p>
            <div className={classes.buttons}>
              <Button onClick={close}>Done</Button>
            </div>
          </>
        )}
      </div>
    </Dialog>
  )
}
