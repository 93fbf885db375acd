/** Whose bundles of models the organisation takes: a list of names and keys, and the key by which others know this installation. */
import { Alert, Button, Table, TextInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { z } from 'zod'
import { useChangeSigners, useSigners, type Signer, type Signers } from '../../api/bundles'
import { act } from '../../ui/act'
import { Card } from '../../ui/Card'
import { Command } from '../../ui/Command'
import { useApiForm } from '../../ui/form/useApiForm'
import { Loaded } from '../../ui/PageState'
import { ScrollBox } from '../../ui/ScrollBox'
import { done } from '../../ui/toast'
import classes from './SettingsPage.module.css'

export function TrustedSigners({ mayChange }: { mayChange: boolean }) {
  const { t } = useTranslation('settings')
  const found = useSigners(true)
  return (
    <Card title={t('signers.title')}>
      <Loaded query={found}>
        {(signers) => (
          <div className={classes.form}>
            <p>{t('signers.text')}</p>
            <Command text={signers.own} label={t('signers.own')} named wrap />
            <Listed of={signers} mayChange={mayChange} />
            {mayChange ? <TrustOne known={signers} /> : <p>{t('notYours')}</p>}
          </div>
        )}
      </Loaded>
    </Card>
  )
}

function Listed({ of, mayChange }: { of: Signers; mayChange: boolean }) {
  const { t } = useTranslation('settings')
  const change = useChangeSigners()
  if (of.signers.length === 0) return <p>{t('signers.none')}</p>
  const remove = (signer: Signer) =>
    act(
      {
        title: t('signers.question', { name: signer.name }),
        consequence: t('signers.consequence'),
        action: t('signers.remove'),
      },
      () => change.mutateAsync((signers) => signers.filter(({ key }) => key !== signer.key)),
      t('signers.removed', { name: signer.name }),
    )
  return (
    <ScrollBox label={t('signers.title')} minWidth={280}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t('signers.name')}</Table.Th>
            <Table.Th>{t('signers.key')}</Table.Th>
            {mayChange && <Table.Th aria-label={t('signers.remove')} />}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {of.signers.map((signer) => (
            <Table.Tr key={signer.key}>
              <Table.Th scope="row">{signer.name}</Table.Th>
              <Table.Td>
                <code className={classes.key}>{signer.key}</code>
              </Table.Td>
              {mayChange && (
                <Table.Td ta="right">
                  <Button
                    size="compact-sm"
                    variant="default"
                    aria-label={t('signers.removeOf', { name: signer.name })}
                    onClick={() => void remove(signer)}
                  >
                    {t('signers.remove')}
                  </Button>
                </Table.Td>
              )}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </ScrollBox>
  )
}

function TrustOne({ known }: { known: Signers }) {
  const { t } = useTranslation('settings')
  const change = useChangeSigners()
  const held = new Set([known.own, ...known.signers.map(({ key }) => key)])
  const of = useApiForm({
    initial: { signer: '', key: '' },
    schema: z.object({
      signer: z.string().trim().min(1, t('giveName')).max(100, t('signers.longName')),
      key: z
        .string()
        .trim()
        .regex(/^[0-9a-f]{64}$/, t('signers.keyForm'))
        .refine((key) => !held.has(key), t('signers.twice')),
    }),
    send: ({ signer, key }) =>
      change.mutateAsync((signers) => [
        ...signers.filter((each) => each.key !== key.trim()),
        { name: signer.trim(), key: key.trim() },
      ]),
    onDone: (_, { signer }) => {
      of.reset()
      done(t('signers.added', { name: signer.trim() }))
    },
  })
  return (
    <form onSubmit={of.onSubmit} noValidate className={classes.form} aria-label={t('signers.add')}>
      <TextInput label={t('signers.name')} {...of.form.getInputProps('signer')} />
      <TextInput
        label={t('signers.key')}
        description={t('signers.keyText')}
        spellCheck={false}
        autoComplete="off"
        {...of.form.getInputProps('key')}
      />
      {of.failure !== null && (
        <Alert color="red" variant="light" role="alert">
          {of.failure}
        </Alert>
      )}
      <div>
        <Button type="submit" loading={of.pending}>
          {t('signers.add')}
        </Button>
      </div>
    </form>
  )
}
