/** Mantine's theme: its own shades of blue and blue-black, and its variables where the console's tokens say otherwise. */
import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from '@mantine/core'

const brand: MantineColorsTuple = [
  '#eef1fe',
  '#dde3fc',
  '#b9c5f9',
  '#93a7ff',
  '#6f87f2',
  '#4763e8',
  '#3452db',
  '#2a44bd',
  '#22389c',
  '#1a2b78',
]

/** From text (0) to page (9). Inputs, menus and disabled buttons take theirs from here, and are blue-black with the rest. */
const dark: MantineColorsTuple = [
  '#e9ecf1',
  '#c6cdd8',
  '#9da7b6',
  '#8691a1',
  '#3a4250',
  '#262c37',
  '#1a1f28',
  '#14181f',
  '#10141a',
  '#0c0f14',
]

export const theme = createTheme({
  colors: { brand, dark },
  primaryColor: 'brand',
  primaryShade: { light: 6, dark: 5 },
  defaultRadius: 'md',
  respectReducedMotion: true,
  cursorType: 'pointer',
  fontFamily: "'Inter', system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
  fontFamilyMonospace:
    "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
  headings: { fontWeight: '620' },
  components: {
    Tooltip: { defaultProps: { openDelay: 300, events: { hover: true, focus: true, touch: false } } },
    Modal: { defaultProps: { centered: true, closeButtonProps: { 'aria-label': 'Close' } } },
    Menu: { defaultProps: { shadow: 'md' } },
  },
})

export const variables: CSSVariablesResolver = () => ({
  variables: {
    '--mantine-color-body': 'var(--surface)',
    '--mantine-color-text': 'var(--text)',
    '--mantine-color-bright': 'var(--text)',
    '--mantine-color-dimmed': 'var(--muted)',
    '--mantine-color-placeholder': 'var(--muted)',
    '--mantine-color-error': 'var(--bad)',
    '--mantine-color-anchor': 'var(--accent)',
    '--mantine-color-default-border': 'var(--line-strong)',
    '--mantine-color-brand-text': 'var(--accent)',
    '--mantine-color-brand-light': 'var(--accent-soft)',
    '--mantine-color-brand-light-hover': 'var(--accent-soft)',
    '--mantine-color-brand-light-color': 'var(--accent)',
    '--mantine-color-red-filled': '#c22a2a',
    '--mantine-color-red-filled-hover': '#a82222',
    '--mantine-color-red-text': 'var(--bad)',
    '--mantine-color-red-light': 'var(--bad-soft)',
    '--mantine-color-red-light-hover': 'var(--bad-soft)',
    '--mantine-color-red-light-color': 'var(--bad)',
    '--mantine-color-yellow-light': 'var(--warn-soft)',
    '--mantine-color-yellow-light-color': 'var(--warn)',
    '--mantine-color-green-light': 'var(--ok-soft)',
    '--mantine-color-green-light-color': 'var(--ok)',
    '--mantine-color-gray-text': 'var(--muted)',
    '--mantine-color-gray-light-color': 'var(--text)',
  },
  light: {},
  dark: {},
})
