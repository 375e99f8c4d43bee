import { describe, expect, it } from 'vitest';
import { blockedAddressReason, ownAddressReason } from '../../../src/gateway/address.ts';

describe('blockedAddressReason', () => {
  it.each([
    ['0.0.0.0', 'unspecified'],
    ['10.1.2.3', 'private'],
    ['100.64.0.1', 'carrier-grade NAT'],
    ['127.0.0.53', 'loopback'],
    ['169.254.169.254', 'link-local'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.0.0.1', 'protocol assignments'],
    ['192.168.1.1', 'private'],
    ['198.18.0.1', 'benchmark'],
    ['198.19.255.255', 'benchmark'],
    ['224.0.0.1', 'multicast'],
    ['255.255.255.255', 'reserved'],
    ['::', 'private'],
    ['168.63.129.16', 'platform of Azure'],
    ['::1', 'loopback'],
    ['fe80::1', 'private'],
    ['fe80::1%eth0', 'link-local'],
    ['fdaa::3', 'private'],
    ['fd00:ec2::254', 'private'],
    ['ff02::1', 'private'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:a00:1', 'private'],
    ['::127.0.0.1', 'reserved'],
    ['::8.8.8.8', 'reserved'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['64:ff9b:1::a00:1', 'private'],
    ['2001::1', 'tunnel'],
    ['2002:7f00:1::', 'tunnel'],
    ['100::1', 'private'],
    ['nonsense', 'unreadable'],
  ])('closes %s: %s', (address, reason) => {
    expect(blockedAddressReason(address)).toBe(reason);
  });

  it.each([
    '1.1.1.1',
    '100.63.255.255',
    '100.128.0.1',
    '172.15.255.255',
    '172.32.0.1',
    '168.63.129.17',
    '192.0.2.1',
    '198.51.100.7',
    '203.0.113.9',
    '2606:4700::1111',
    '2001:db8::1',
    '::ffff:1.1.1.1',
    '64:ff9b::101:101',
  ])('leaves %s open', (address) => {
    expect(blockedAddressReason(address)).toBeNull();
  });
});

describe('ownAddressReason', () => {
  const cards = ['198.51.100.7/24', '2606:4700:1::7/64', '203.0.113.9'];

  it.each([
    ['198.51.100.7', 'own'],
    ['::ffff:198.51.100.7', 'own'],
    ['64:ff9b::c633:6407', 'own'],
    ['2606:4700:1::7%eth0', 'own'],
    ['203.0.113.9', 'own'],
    ['198.51.100.1', 'own network'],
    ['::ffff:198.51.100.1', 'own network'],
    ['64:ff9b::c633:6401', 'own network'],
    ['2606:4700:1::1', 'own network'],
    ['198.51.101.7', null],
    ['203.0.113.8', null],
    ['2606:4700:2::7', null],
    ['nonsense', null],
  ])('takes %s for %s', (address, reason) => {
    expect(ownAddressReason(address, cards)).toBe(reason);
  });
});
